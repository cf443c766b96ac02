"""Starts raftcs-server processes on free loopback ports, for the tests that need a real cluster.

Also a program: `cluster.py N COMMAND...` starts N nodes, runs the command with RAFTCS_ENDPOINTS and
RAFTCS_SERVER_PIDS ("1:123,2:124,...") in its environment, stops the nodes, and ends with the
command's code; so tests in other languages need no process handling of their own.

What must hold: every process that was started is stopped, whatever happens; a node that does not
become ready shows what it printed.
"""
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

READY_SECONDS = 30


def free_ports(count):
    """Ports that were free a moment ago; all held until the last is chosen."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Node:
    """One server process."""

    def __init__(self, number, client_port, peer_port, folder):
        self.id = number
        self.endpoint = f"tcp://127.0.0.1:{client_port}"
        self.peer = f"tcp://127.0.0.1:{peer_port}"
        self.folder = folder
        self.process = None
        self.lines = []

    def start(self, members):
        command = [os.environ["RAFTCS_SERVER_BIN"], "--id", str(self.id),
                   "--data", os.path.join(self.folder, f"node{self.id}"),
                   "--client-listen", self.endpoint, "--peer-listen", self.peer,
                   "--plugins", os.environ["RAFTCS_PLUGINS_DIR"], "--cluster", members]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, errors="replace")
        self._ready = queue.Queue()
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def _read(self, stream):
        with stream:
            for line in stream:
                self.lines.append(line)
                if line.startswith("ready"):
                    self._ready.put(True)
        self._ready.put(False)

    def wait_ready(self):
        try:
            ready = self._ready.get(timeout=READY_SECONDS)
        except queue.Empty:
            ready = False
        if not ready:
            raise RuntimeError(f"node {self.id} is not ready:\n{''.join(self.lines)}")

    def end(self, number=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


class Cluster:
    """`size` nodes that form one cluster; a context manager."""

    def __init__(self, size):
        self.folder = tempfile.mkdtemp(prefix="raftcs-bindings-")
        ports = free_ports(2 * size)
        self.nodes = [Node(i + 1, ports[2 * i], ports[2 * i + 1], self.folder)
                      for i in range(size)]
        self.members = ",".join(f"{n.id}={n.peer}/{n.endpoint}" for n in self.nodes)

    @property
    def endpoints(self):
        return ",".join(node.endpoint for node in self.nodes)

    @property
    def pids(self):
        return {node.id: node.process.pid for node in self.nodes if node.process}

    def node(self, number):
        return self.nodes[number - 1]

    def start(self, number):
        self.node(number).start(self.members)
        self.node(number).wait_ready()

    def kill(self, number):
        """As a crash does it."""
        self.node(number).end(signal.SIGKILL)

    def __enter__(self):
        try:
            for node in self.nodes:
                node.start(self.members)
            for node in self.nodes:
                node.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_for(condition, seconds=20):
    """Polls until the condition gives something; that thing."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.02)


def main(arguments):
    with Cluster(int(arguments[0])) as cluster:
        pids = ",".join(f"{number}:{pid}" for number, pid in cluster.pids.items())
        environment = {**os.environ, "RAFTCS_ENDPOINTS": cluster.endpoints,
                       "RAFTCS_SERVER_PIDS": pids}
        return subprocess.run(arguments[1:], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
