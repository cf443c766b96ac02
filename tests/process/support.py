"""support.py: real servers and the command line, for the tests of this folder.

RAFTCS_BUILD_DIR names the build directory (ctest sets it). Servers run on ports of 127.0.0.1 in a
temporary directory, and are ended by their own pids. Nothing is skipped: a missing program is an
error. suite.py builds on this what the integration suites share.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import proxy

BUILD = os.environ.get('RAFTCS_BUILD_DIR') or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), '..', '..', 'build', 'release')
BUILD = os.path.abspath(BUILD)
SERVER = os.path.join(BUILD, 'bin', 'raftcs-server')
CLI = os.path.join(BUILD, 'bin', 'raftcs')
PLUGINS = os.path.join(BUILD, 'plugins-out')
# A test that is ended by force takes its servers along.
WITH_US = ['setpriv', '--pdeathsig', 'KILL'] if shutil.which('setpriv') else []


def free_ports(count):
    """Ports of 127.0.0.1 that were free a moment ago, below the range of outgoing connections."""
    ports, sockets = [], []
    candidate = 10000 + (os.getpid() * 37 + int(time.time() * 1000)) % 20000
    while len(ports) < count:
        candidate = candidate + 1 if candidate < 31000 else 10000
        s = socket.socket()
        try:
            s.bind(('127.0.0.1', candidate))
        except OSError:
            s.close()
            continue
        sockets.append(s)
        ports.append(candidate)
    for s in sockets:
        s.close()
    return ports


def plugins_only(folder, names=('kv.so',)):
    """A plugins directory that holds just these: others in the build may be broken on purpose."""
    os.makedirs(folder, exist_ok=True)
    for name in names:
        shutil.copy(os.path.join(PLUGINS, name), folder)
    return folder


class Server:
    """One raftcs-server process."""

    def __init__(self, log, arguments):
        self.log = log
        self.arguments = WITH_US + [SERVER] + [str(a) for a in arguments]
        self.process = None
        self.paused = False

    def start(self, timeout=60):
        return self.launch().wait_ready(timeout)

    def launch(self):
        with open(self.log, 'ab') as out:
            self.offset = out.tell()
            self.process = subprocess.Popen(self.arguments, stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL)
        self.paused = False
        return self

    def wait_ready(self, timeout=60):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            line = self.ready_line()
            if line:
                self.fields = dict(f.split('=', 1) for f in line.split()[1:])
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError('the server did not start: ' + self.text())

    def text(self):
        with open(self.log, 'rb') as f:
            f.seek(self.offset)
            return f.read().decode(errors='replace')

    def ready_line(self):
        return next((x for x in self.text().splitlines() if x.startswith('ready ')), None)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """As a crash does it."""
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def stop(self, timeout=30):
        """Asks it to stop; gives the exit code."""
        if not self.running():
            return self.process.returncode if self.process else 0
        if self.paused:
            self.go_on()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError('the server did not stop: ' + self.text())


class Cluster:
    """`count` servers in a temporary directory; a context manager.

    With `relays` the addresses that members and clients are told are those of proxy.Network, which
    is then `network`; `real_ports` lead to the servers themselves."""

    def __init__(self, count=3, settings=(), relays=False, plugins=('kv.so',)):
        self.folder = tempfile.mkdtemp(prefix='raftcs-test-')
        self.plugins = plugins_only(os.path.join(self.folder, 'plugins'), plugins)
        ports = free_ports(2 * count)
        self.client_ports = {i + 1: ports[2 * i] for i in range(count)}
        self.peer_ports = {i + 1: ports[2 * i + 1] for i in range(count)}
        self.real_ports = self.client_ports
        self.network = None
        told_clients, told_peers = self.client_ports, self.peer_ports
        if relays:
            self.network = proxy.Network(self.client_ports, self.peer_ports)
            told_clients, told_peers = self.network.client_ports, self.network.peer_ports
        members = ','.join(f'{i}=tcp://127.0.0.1:{told_peers[i]}/tcp://127.0.0.1:{told_clients[i]}'
                           for i in self.client_ports)
        self.servers = {}
        for i in self.client_ports:
            arguments = ['--id', i, '--data', os.path.join(self.folder, f'node-{i}'),
                         '--client-listen', f'tcp://127.0.0.1:{self.client_ports[i]}',
                         '--peer-listen', f'tcp://127.0.0.1:{self.peer_ports[i]}',
                         '--plugins', self.plugins]
            if count > 1:
                arguments += ['--cluster', members]
            for pair in settings:
                arguments += ['--set', pair]
            self.servers[i] = Server(os.path.join(self.folder, f'node-{i}.log'), arguments)
        self.addresses = {i: f'tcp://127.0.0.1:{p}' for i, p in told_clients.items()}
        self.endpoints = ','.join(f'127.0.0.1:{p}' for p in told_clients.values())

    def __enter__(self):
        try:
            for server in self.servers.values():
                server.launch()
            for server in self.servers.values():
                server.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            if server.running():
                if server.paused:
                    server.go_on()
                server.process.terminate()
        for server in self.servers.values():
            try:
                server.stop(20)
            except AssertionError:
                pass
        if self.network:
            self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cli(self, *arguments, **keywords):
        return cli('-e', self.endpoints, *arguments, **keywords)

    def start_cli(self, *arguments, timeout_ms=60000):
        return subprocess.Popen([CLI, '-e', self.endpoints, '--timeout', str(timeout_ms)] +
                                [str(a) for a in arguments], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def leader(self):
        """The id of the leader, waiting for one."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            result = self.cli('-o', 'json', '--timeout', 3000, 'leader', 'show')
            if result.returncode == 0:
                return json.loads(result.stdout)['leader']
            time.sleep(0.1)
        raise AssertionError('no leader: ' + result.stderr)

    def converged(self):
        result = self.cli('-o', 'json', 'status', '--converged', timeout_ms=60000)
        if result.returncode != 0:
            raise AssertionError(f'not converged: {result.stdout} {result.stderr}')
        return json.loads(result.stdout)


def flip_byte(path, offset):
    """One bit of what is on the disk."""
    with open(path, 'r+b') as f:
        f.seek(offset)
        byte = f.read(1)
        f.seek(offset)
        f.write(bytes([byte[0] ^ 0x20]))
        f.flush()
        os.fsync(f.fileno())


def cli(*arguments, timeout_ms=30000, stdin=''):
    """Runs raftcs and gives its CompletedProcess."""
    command = [CLI] + [str(a) for a in arguments]
    if '--timeout' not in command:
        command += ['--timeout', str(timeout_ms)]
    environment = {k: v for k, v in os.environ.items() if k != 'RAFTCS_ENDPOINTS'}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180,
                          env=environment)


def run_server(*arguments, timeout=60):
    """Runs raftcs-server where it is expected to end by itself."""
    return subprocess.run([SERVER] + [str(a) for a in arguments], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL)
