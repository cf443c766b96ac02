/* shim.c: bad disks and bad clocks for a server, loaded with LD_PRELOAD.
 *
 * The file named by RAFTCS_SHIM_CONTROL is a page of 64-bit numbers that shim.py writes and this
 * reads at each call: what is wrong at the moment. Behind them are counts of what was done, so that
 * a run can show that its faults happened. All zero but the rate means that nothing is wrong.
 *
 *   disk   syncs that take longer, writes or syncs that fail, and a full disk: statvfs tells of no
 *          space, and a write behind the end of a file is refused
 *   clock  the wall clock is off; the monotonic clock runs fast or slow, or jumps ahead. It never
 *          goes back. Waits until a time or for a time are translated.
 *
 * What must hold: without the page everything passes through. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {  /* as in shim.py */
  SEQUENCE, REAL_NS, FAKE_NS, RATE_PPM, WALL_NS, SYNC_DELAY_US, WRITE_ERRNO, SYNC_ERRNO, FULL,
  SLOWED = 16, WRITES_FAILED, SYNCS_FAILED, REFUSED, MONOTONIC_READ, WALL_READ,
  SLOTS = 512
};

#define SECOND_NS 1000000000
#define MILLION 1000000

static _Atomic int64_t* page;
static _Atomic int64_t last_ns;

/* The function that this file's function of that name stands before. */
#define REAL(name)                                                   \
  ({                                                                 \
    static _Atomic(void*) found;                                     \
    if (found == NULL) found = real(#name);                          \
    (__typeof__(&name))found;                                        \
  })

static void* real(const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

__attribute__((constructor)) static void start(void) {
  const char* path = getenv("RAFTCS_SHIM_CONTROL");
  if (path == NULL) return;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* mapped = mmap(NULL, SLOTS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) abort();
  close(fd);
  page = mapped;
}

static int64_t get(int slot) { return page == NULL ? 0 : page[slot]; }
static void count(int slot) { atomic_fetch_add(&page[slot], 1); }

static int fails(int slot, int counter) {
  const int64_t wrong = get(slot);
  if (wrong == 0) return 0;
  count(counter);
  errno = (int)wrong;
  return 1;
}

/* --- disk --- */

static int refuses(int fd, off_t end) {
  struct stat info;
  if (get(FULL) == 0 || fstat(fd, &info) != 0 || end <= info.st_size) return 0;
  count(REFUSED);
  errno = ENOSPC;
  return 1;
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  if (fails(WRITE_ERRNO, WRITES_FAILED) || refuses(fd, offset + (off_t)size)) return -1;
  return REAL(pwrite)(fd, data, size, offset);
}

ssize_t pwritev(int fd, const struct iovec* pieces, int number, off_t offset) {
  off_t end = offset;
  for (int i = 0; i < number; ++i) end += (off_t)pieces[i].iov_len;
  if (fails(WRITE_ERRNO, WRITES_FAILED) || refuses(fd, end)) return -1;
  return REAL(pwritev)(fd, pieces, number, offset);
}

static void be_slow(void) {
  const int64_t us = get(SYNC_DELAY_US);
  if (us == 0) return;
  count(SLOWED);
  usleep((useconds_t)us);
}

int fdatasync(int fd) {
  be_slow();
  return fails(SYNC_ERRNO, SYNCS_FAILED) ? -1 : REAL(fdatasync)(fd);
}

int fsync(int fd) {
  be_slow();
  return fails(SYNC_ERRNO, SYNCS_FAILED) ? -1 : REAL(fsync)(fd);
}

int statvfs(const char* path, struct statvfs* info) {
  const int status = REAL(statvfs)(path, info);
  if (status == 0 && get(FULL) != 0) {
    info->f_bavail = info->f_bfree = 0;
    count(REFUSED);
  }
  return status;
}

/* --- clock --- */

struct reading { int64_t real_ns, fake_ns, rate_ppm; };

/* What shim.py wrote last, whole. */
static struct reading read_clock(void) {
  struct reading out;
  int64_t before;
  do {
    before = page[SEQUENCE];
    out.real_ns = page[REAL_NS];
    out.fake_ns = page[FAKE_NS];
    out.rate_ppm = page[RATE_PPM];
  } while (before % 2 != 0 || before != page[SEQUENCE]);
  return out;
}

static int64_t scaled(int64_t ns, int64_t by, int64_t of) {
  return (int64_t)((__int128)ns * by / of);
}

static int64_t ns_of(const struct timespec* t) {
  return (int64_t)t->tv_sec * SECOND_NS + t->tv_nsec;
}

static struct timespec time_of(int64_t ns) {
  if (ns < 0) ns = 0;
  const struct timespec out = {.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
  return out;
}

static int is_altered(const struct reading* r) {
  return r->rate_ppm != MILLION || r->real_ns != r->fake_ns;
}

int clock_gettime(clockid_t clock, struct timespec* out) {
  const int status = REAL(clock_gettime)(clock, out);
  if (status != 0 || page == NULL) return status;
  if (clock == CLOCK_REALTIME && get(WALL_NS) != 0) {
    *out = time_of(ns_of(out) + get(WALL_NS));
    count(WALL_READ);
  } else if (clock == CLOCK_MONOTONIC) {
    const struct reading r = read_clock();
    int64_t ns = r.fake_ns + scaled(ns_of(out) - r.real_ns, r.rate_ppm, MILLION);
    if (r.rate_ppm != MILLION) count(MONOTONIC_READ);
    int64_t last = last_ns;  /* a change of the rate must not let it go back */
    while (ns > last && !atomic_compare_exchange_weak(&last_ns, &last, ns)) continue;
    if (ns < last) ns = last;
    *out = time_of(ns);
  }
  return status;
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                           const struct timespec* until) {
  struct timespec at = *until;
  if (page != NULL && clock == CLOCK_MONOTONIC) {
    const struct reading r = read_clock();
    if (is_altered(&r))
      at = time_of(r.real_ns + scaled(ns_of(until) - r.fake_ns, MILLION, r.rate_ppm));
  }
  return REAL(pthread_cond_clockwait)(condition, mutex, clock, &at);
}

static int64_t real_duration(int64_t fake) {
  return page == NULL ? fake : scaled(fake, MILLION, page[RATE_PPM]);
}

int ppoll(struct pollfd* items, nfds_t number, const struct timespec* limit, const sigset_t* mask) {
  struct timespec rest;
  if (limit != NULL) rest = time_of(real_duration(ns_of(limit)));
  return REAL(ppoll)(items, number, limit == NULL ? NULL : &rest, mask);
}

int poll(struct pollfd* items, nfds_t number, int limit_ms) {
  return REAL(poll)(items, number, limit_ms <= 0 ? limit_ms : (int)real_duration(limit_ms));
}

int epoll_wait(int fd, struct epoll_event* events, int number, int limit_ms) {
  return REAL(epoll_wait)(fd, events, number,
                          limit_ms <= 0 ? limit_ms : (int)real_duration(limit_ms));
}
