"""Asks a broker which brokers it knows, without a client library."""
import io
import socket
import struct


def known_brokers(port, seconds=2.0):
    """{number: port} as the broker at 127.0.0.1:port answers; empty if nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            # Metadata, version 1: correlation 1, no client id, no topics.
            body = struct.pack(">hhihi", 3, 1, 1, -1, 0)
            connection.sendall(struct.pack(">i", len(body)) + body)
            stream = connection.makefile("rb")
            (size,) = struct.unpack(">i", stream.read(4))
            return parse(stream.read(size))
    except (OSError, struct.error):
        return {}


def parse(answer):
    stream = io.BytesIO(answer)

    def take(form):
        return struct.unpack(form, stream.read(struct.calcsize(form)))[0]

    take(">i")  # Correlation.
    found = {}
    for _ in range(take(">i")):
        number = take(">i")
        stream.read(take(">h"))  # Host.
        found[number] = take(">i")
        stream.read(max(take(">h"), 0))  # Rack: -1 if there is none.
    return found
