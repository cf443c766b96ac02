"""zmtp.py: as much of ZMTP 3.0 (RFC 23) as it takes to send frames to a ROUTER socket by hand.

NULL mechanism, DEALER side, one peer. Written from the specification, so that the tests need no
ZeroMQ binding and can also send what no binding would.
"""
import socket
import struct


def frame(body, more=False, command=False):
    """One ZMTP frame: flags, length, body."""
    flags = (1 if more else 0) | (4 if command else 0)
    if len(body) > 255:
        return struct.pack('>BQ', flags | 2, len(body)) + body
    return struct.pack('>BB', flags, len(body)) + body


def greeting():
    return (b'\xff' + b'\0' * 8 + b'\x7f' + b'\x03\x00' + b'NULL'.ljust(20, b'\0') + b'\0' +
            b'\0' * 31)


def ready(socket_type=b'DEALER'):
    name, value = b'Socket-Type', socket_type
    body = b'\x05READY' + bytes([len(name)]) + name + struct.pack('>I', len(value)) + value
    return frame(body, command=True)


class Dealer:
    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(('127.0.0.1', port), timeout=timeout)
        self.socket.sendall(greeting())
        self.exactly(64)
        self.socket.sendall(ready())
        flags, body = self.receive()
        if not flags & 4 or not body.startswith(b'\x05READY'):
            raise AssertionError(f'no READY but {body!r}')

    def exactly(self, count):
        data = b''
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError('closed by the server')
            data += more
        return data

    def receive(self):
        """One frame as (flags, body)."""
        flags = self.exactly(1)[0]
        size = struct.unpack('>Q', self.exactly(8))[0] if flags & 2 else self.exactly(1)[0]
        return flags, self.exactly(size)

    def receive_message(self):
        """The next message's last part; a PING is answered, other commands are passed over."""
        while True:
            flags, body = self.receive()
            if flags & 4 and body.startswith(b'\x04PING'):
                self.socket.sendall(frame(b'\x04PONG' + body[7:], command=True))
            if not flags & 5:
                return body

    def send(self, *parts):
        data = b''.join(frame(p, more=i + 1 < len(parts)) for i, p in enumerate(parts))
        self.socket.sendall(data)

    def send_raw(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()
