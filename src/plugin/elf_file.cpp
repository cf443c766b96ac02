// elf_file.cpp: a bounds-checked look at an ELF file (System V ABI, chapters 4 and 5).
#include "plugin/elf_file.hpp"

#include <elf.h>

#include <cstring>
#include <fstream>

namespace raftcs::plugin {
namespace {

constexpr size_t kFileBytesMax = 1u << 30;

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#else
constexpr uint16_t kMachine = EM_NONE;
#endif

Status unusable(const std::string& what) { return Status(RAFTCS_ERR_PLUGIN_LOAD, what); }

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  const auto end = in ? static_cast<std::streamoff>(in.tellg()) : -1;
  if (end < 0) return unusable("it cannot be read");
  if (static_cast<size_t>(end) > kFileBytesMax) return unusable("it is larger than 1 GiB");
  std::string bytes(static_cast<size_t>(end), '\0');
  in.seekg(0);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!in) return unusable("it cannot be read");
  return bytes;
}

template <class T>
bool get(const std::string& file, uint64_t offset, T* out) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return false;
  std::memcpy(out, file.data() + offset, sizeof(T));
  return true;
}

bool inside(const std::string& file, uint64_t offset, uint64_t size) {
  return offset <= file.size() && size <= file.size() - offset;
}

Status check_segments(const std::string& file, const Elf64_Ehdr& head) {
  for (unsigned i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!get(file, head.e_phoff + uint64_t{i} * sizeof segment, &segment) ||
        (segment.p_type == PT_LOAD && !inside(file, segment.p_offset, segment.p_filesz)))
      return unusable("it is cut short (still being copied?)");
  }
  return Status::ok();
}

void add_names(const std::string& file, const Elf64_Shdr& table, const Elf64_Shdr& strings,
               std::vector<std::string>* names) {
  const char* text = file.data() + strings.sh_offset;
  for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size; at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    if (!get(file, table.sh_offset + at, &symbol)) return;
    if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_BIND(symbol.st_info) == STB_LOCAL) continue;
    if (symbol.st_name >= strings.sh_size) continue;
    const size_t room = strings.sh_size - symbol.st_name;
    names->emplace_back(text + symbol.st_name, strnlen(text + symbol.st_name, room));
  }
}

}  // namespace

Result<std::vector<std::string>> exported_symbols(const std::string& path) {
  RCS_ASSIGN(file, read_file(path));
  Elf64_Ehdr head;
  if (!get(file, 0, &head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
    return unusable("it is not a shared object (no ELF file)");
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB ||
      head.e_machine != kMachine)
    return unusable("it was built for another kind of machine");
  if (head.e_type != ET_DYN) return unusable("it is an ELF file, but no shared object");
  RCS_TRY(check_segments(file, head));
  std::vector<std::string> names;
  for (unsigned i = 0; i < head.e_shnum; ++i) {
    Elf64_Shdr table, strings;
    if (!get(file, head.e_shoff + uint64_t{i} * sizeof table, &table))
      return unusable("it is cut short (still being copied?)");
    if (table.sh_type != SHT_DYNSYM) continue;
    if (table.sh_link >= head.e_shnum ||
        !get(file, head.e_shoff + uint64_t{table.sh_link} * sizeof strings, &strings) ||
        !inside(file, table.sh_offset, table.sh_size) ||
        !inside(file, strings.sh_offset, strings.sh_size))
      return unusable("its symbol table is damaged");
    add_names(file, table, strings, &names);
  }
  return names;
}

}  // namespace raftcs::plugin
