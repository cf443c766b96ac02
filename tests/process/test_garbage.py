#!/usr/bin/env python3
"""Strangers at the ports: whatever bytes they send, the cluster goes on serving its clients."""
import os
import random
import socket
import struct
import unittest

import support
import zmtp

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'fixtures')


def fixtures():
    """The protocol's example frames, good and refused ones."""
    out = []
    for name in sorted(os.listdir(FIXTURES)):
        if name.endswith('.hex'):
            with open(os.path.join(FIXTURES, name), encoding='utf-8') as f:
                lines = [x.split('#')[0] for x in f]
            digits = ''.join(''.join(lines).split())
            try:
                out.append(bytes.fromhex(digits))
            except ValueError:
                raise AssertionError(f'{name} is not hexadecimal')
    return out


class Garbage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.seed = int(os.environ.get('RAFTCS_SEED') or random.SystemRandom().randrange(2 ** 32))
        print(f'RAFTCS_SEED={cls.seed}', flush=True)
        cls.random = random.Random(cls.seed)
        cls.cluster = support.Cluster(3)
        cls.cluster.__enter__()
        cls.cluster.leader()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__()

    def ports(self):
        return list(self.cluster.client_ports.values()) + list(self.cluster.peer_ports.values())

    def still_works(self):
        for i, server in self.cluster.servers.items():
            self.assertTrue(server.running(), f'node {i} is gone: {server.text()[-2000:]}')
        put = self.cluster.cli('kv', 'put', 'alive', 'yes')
        self.assertEqual(put.returncode, 0, f'seed {self.seed}: {put.stderr}')
        self.assertEqual(self.cluster.cli('kv', 'get', 'alive').stdout, 'yes\n')

    def throw(self, port, data):
        try:
            with socket.create_connection(('127.0.0.1', port), timeout=5) as s:
                s.sendall(data)
                s.settimeout(0.05)
                try:
                    s.recv(4096)
                except (socket.timeout, ConnectionError):
                    pass
        except (ConnectionError, BrokenPipeError):
            pass

    def dealer(self, port):
        return zmtp.Dealer(port)

    def test_raw_bytes(self):
        for port in self.ports():
            self.throw(port, b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
            self.throw(port, b'')
            self.throw(port, self.random.randbytes(4096))
            self.throw(port, zmtp.greeting()[:40])
            self.throw(port, zmtp.greeting() + self.random.randbytes(512))
            self.throw(port, zmtp.greeting() + zmtp.ready(b'SUB'))
        self.still_works()

    def test_frames_of_random_bytes(self):
        for port in self.ports():
            for size in (0, 1, 5, 100, 5000):
                dealer = self.dealer(port)
                try:
                    for _ in range(20):
                        dealer.send(self.random.randbytes(size))
                    dealer.send(b'', self.random.randbytes(size), b'')
                except ConnectionError:
                    pass
                dealer.close()
        self.still_works()

    def test_truncated_and_changed_frames(self):
        frames = fixtures()
        self.assertGreater(len(frames), 30)
        for port in self.ports():
            dealer = self.dealer(port)
            for good in frames:
                bad = bytearray(good)
                if bad:
                    bad[self.random.randrange(len(bad))] ^= 1 << self.random.randrange(8)
                for data in (good, good[:self.random.randrange(len(good) + 1)], bytes(bad),
                             good + self.random.randbytes(3)):
                    try:
                        dealer.send(data)
                    except ConnectionError:
                        dealer = self.dealer(port)
            dealer.close()
        self.still_works()

    def test_oversized_frames(self):
        for port in self.ports():
            for size in (2 ** 40, 2 ** 63, 2 ** 64 - 1):
                try:
                    dealer = self.dealer(port)
                    dealer.send_raw(struct.pack('>BQ', 2, size) + b'x' * 1000)
                    dealer.close()
                except ConnectionError:
                    pass
        self.still_works()

    def test_many_connections_that_say_nothing(self):
        held = []
        for port in self.ports():
            held += [socket.create_connection(('127.0.0.1', port), timeout=5) for _ in range(40)]
        self.still_works()
        for s in held:
            s.close()
        self.still_works()


if __name__ == '__main__':
    unittest.main(verbosity=2)
