"""Calls every method of a server, under both package names, as a client that knows only the protos."""

import base64
import importlib
import sys
import threading

import blake3
import grpc
from health.v1 import health_pb2, health_pb2_grpc

EMPTY = blake3.blake3(b"").digest()
MISSING = bytes(32)
CHECKS = 0


def check(condition, what):
    global CHECKS
    CHECKS += 1
    if not condition:
        raise AssertionError(what)


def refused(code, call, what, details=None):
    """The call must end with a status, and perhaps with certain words."""
    try:
        answer = call()
        if hasattr(answer, "__next__"):
            answer = list(answer)
    except grpc.RpcError as error:
        check(error.code() == code, f"{what}: {error.code()} ({error.details()}) instead of {code}")
        if details:
            check(details in error.details(), f"{what}: {error.details()!r} lacks {details!r}")
        return
    raise AssertionError(f"{what}: answered {answer!r} instead of {code}")


def text(digest):
    return "b3:" + base64.b64encode(digest).decode()


class Family:
    """The generated modules of one family, and what it calls things."""

    def __init__(self, name, channel):
        self.name = name
        self.kind = "Node" if name == "tvix" else "Entry"
        load = lambda path: importlib.import_module(f"{name}.{path}")
        self.messages = load("castore.v1.castore_pb2")
        self.blob = load("castore.v1.rpc_blobstore_pb2")
        self.dir = load("castore.v1.rpc_directory_pb2")
        self.blobs = load("castore.v1.rpc_blobstore_pb2_grpc").BlobServiceStub(channel)
        self.dirs = load("castore.v1.rpc_directory_pb2_grpc").DirectoryServiceStub(channel)
        self.path_infos = load("store.v1.rpc_pathinfo_pb2_grpc").PathInfoServiceStub(channel)
        self.path_info = load("store.v1.rpc_pathinfo_pb2")
        self.channel = channel

    def node(self, kind, **fields):
        return getattr(self.messages, kind + self.kind)(**fields)

    def raw(self, service, method, streams_in, streams_out):
        """A method as bytes in, bytes out."""
        kind = ("stream" if streams_in else "unary") + "_" + ("stream" if streams_out else "unary")
        return getattr(self.channel, kind)(f"/{self.name}.castore.v1.{service}/{method}")


def encode(directory):
    # Fields in order and defaults left out: what protobuf's own encoder does for these messages.
    return directory.SerializeToString(deterministic=True)


def digest_of(directory):
    return blake3.blake3(encode(directory)).digest()


def put_blob(family, data, piece):
    pieces = [data[i : i + piece] for i in range(0, len(data), piece)]
    return family.blobs.Put(iter([family.blob.BlobChunk(data=p) for p in pieces])).digest


def read_blob(family, digest):
    return b"".join(c.data for c in family.blobs.Read(family.blob.ReadBlobRequest(digest=digest)))


def blobs(family):
    stat = lambda **fields: family.blobs.Stat(family.blob.StatBlobRequest(**fields))
    read = lambda digest: family.blobs.Read(family.blob.ReadBlobRequest(digest=digest))

    for size, piece in [(0, 1), (1, 1), (5000, 4096), (1 << 20, 1 << 20), (9_000_001, 3 << 20)]:
        data = bytes((i * 7 + i // 251) & 0xFF for i in range(251)) * (size // 251 + 1)
        data = data[:size] + (family.name.encode() if size else b"")
        digest = blake3.blake3(data).digest()
        check(put_blob(family, data, piece) == digest, f"put of {size} bytes")
        check(read_blob(family, digest) == data, f"read of {size} bytes")
        check(not stat(digest=digest).chunks, "chunks that nobody asked for")
        chunks = stat(digest=digest, send_chunks=True).chunks
        check(sum(c.size for c in chunks) == len(data), "the chunks make up the blob")
        for chunk in read(digest):
            check(len(chunk.data) < 4 << 20, "messages below 4 MiB")
    check(put_blob(family, b"", 1) == EMPTY, "the empty blob without a message")
    empty = family.blobs.Put(iter([family.blob.BlobChunk()])).digest
    check(empty == EMPTY, "the empty blob in one message")

    lost = text(MISSING)
    refused(grpc.StatusCode.NOT_FOUND, lambda: stat(digest=MISSING), "stat", f"blob {lost} not found")
    refused(
        grpc.StatusCode.NOT_FOUND, lambda: stat(digest=MISSING, send_chunks=True), "stat for chunks"
    )
    refused(grpc.StatusCode.NOT_FOUND, lambda: read(MISSING), "read", f"blob {lost} not found")
    for wrong in [b"", b"x", MISSING[1:], MISSING + b"x"]:
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        refused(invalid, lambda: stat(digest=wrong), "stat", "invalid digest length")
        refused(invalid, lambda: read(wrong), "read", "invalid digest length")


def malformed(family):
    internal = grpc.StatusCode.INTERNAL
    for garbage in [b"\x0a\x7f", b"\xff" * 11, b"\x0b", b"\x0a"]:
        for method, streams_in, streams_out in [
            ("Stat", False, False), ("Read", False, True), ("Put", True, False),
        ]:
            call = family.raw("BlobService", method, streams_in, streams_out)
            refused(internal, lambda: call(iter([garbage]) if streams_in else garbage), method)
        refused(internal, lambda: family.raw("DirectoryService", "Get", False, True)(garbage), "Get")
        put = family.raw("DirectoryService", "Put", True, False)
        refused(internal, lambda: put(iter([garbage])), "Put")
    # A message that decodes, with fields that nobody knows, is taken where it is not hashed.
    put = family.raw("BlobService", "Put", True, False)
    answer = put(iter([b"\x0a\x01a\x10\x05", b"\x0a\x01b\x0a\x01c"]))
    digest = family.blob.PutBlobResponse.FromString(answer).digest
    check(digest == blake3.blake3(b"ac").digest(), "unknown fields, and a field twice")
    refused(
        grpc.StatusCode.UNIMPLEMENTED,
        lambda: family.raw("BlobService", "Nonsense", False, False)(b""),
        "an unknown method",
    )
    # Too long a message is refused, one way or the other, and the connection lives.
    try:
        put(iter([b"\x00" * (17 << 20)]))
        check(False, "a message of 17 MiB was taken")
    except grpc.RpcError:
        pass
    check(put_blob(family, b"alive", 5) == blake3.blake3(b"alive").digest(), "alive")


def broken_off(family):
    """An upload that is cancelled, or whose client fails, is not kept."""
    data = family.name.encode() * 300_000
    started = threading.Event()

    def pieces():
        yield family.blob.BlobChunk(data=data)
        started.set()
        threading.Event().wait(30)

    call = family.blobs.Put.future(pieces())
    started.wait(30)
    call.cancel()
    digest = blake3.blake3(data).digest()
    for _ in range(20):
        refused(
            grpc.StatusCode.NOT_FOUND,
            lambda: family.blobs.Stat(family.blob.StatBlobRequest(digest=digest)),
            "a cancelled upload",
        )


def directories(family):
    Directory = family.messages.Directory
    get = lambda **fields: family.dirs.Get(family.dir.GetDirectoryRequest(**fields))
    put = lambda *sent: family.dirs.Put(iter(sent)).root_digest

    tag = family.name.encode()
    leaf = Directory(
        files=[family.node("File", name=b"a\xff", digest=EMPTY, size=0, executable=True)],
        symlinks=[family.node("Symlink", name=b"l", target=b"../" + tag)],
    )
    link = lambda name, child, size: family.node(
        "Directory", name=name, digest=digest_of(child), size=size
    )
    middle = Directory(directories=[link(b"x", leaf, 2)])
    root = Directory(directories=[link(b"1", leaf, 2), link(b"2", middle, 3)])

    check(put(leaf) == digest_of(leaf), "one directory")
    check(put(Directory()) == EMPTY, "the empty directory")
    check(put(leaf, middle, leaf, root) == digest_of(root), "a tree, with a repetition")
    check(list(get(digest=digest_of(root))) == [root], "one directory")
    check(
        list(get(digest=digest_of(root), recursive=True)) == [root, leaf, middle],
        "a tree: the root first, breadth first, each once",
    )
    check(list(get(digest=MISSING, recursive=True)) == [], "a missing tree is an empty stream")
    refused(
        grpc.StatusCode.NOT_FOUND, lambda: get(digest=MISSING), "get",
        f"directory {text(MISSING)} not found",
    )
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    refused(invalid, lambda: get(), "get of nothing", "invalid by_what")
    refused(invalid, lambda: get(digest=b"short"), "get", "invalid digest length")

    # Sizes by the other rule: entries count twice.
    both = Directory(directories=[link(b"1", leaf, 4)])
    check(put(leaf, both) == digest_of(both), "sizes as newer servers compute them")

    internal = grpc.StatusCode.INTERNAL
    file = lambda name: family.node("File", name=name, digest=EMPTY, size=0)
    lone = Directory(files=[file(tag)])
    for what, sent in [
        ("nothing", []),
        ("the parent first", [middle, leaf]),
        ("a child that is known but was not sent", [middle]),
        ("two roots", [leaf, lone]),
        ("a wrong size", [leaf, Directory(directories=[link(b"x", leaf, 7)])]),
        ("names out of order", [Directory(files=[file(b"b"), file(b"a")])]),
        ("a name twice", [Directory(files=[file(b"a"), file(b"a")])]),
        ("a name twice, of two kinds", [
            Directory(files=[file(b"a")], symlinks=[family.node("Symlink", name=b"a", target=b"t")])
        ]),
        ("no name", [Directory(files=[file(b"")])]),
        ("a name of dots", [Directory(files=[file(b"..")])]),
        ("a slash", [Directory(files=[file(b"a/b")])]),
        ("a NUL", [Directory(files=[file(b"a\x00")])]),
        ("256 bytes", [Directory(files=[file(b"x" * 256)])]),
        ("a short digest", [Directory(files=[family.node("File", name=b"a", digest=b"\x00\x42")])]),
        ("no target", [Directory(symlinks=[family.node("Symlink", name=b"a")])]),
        ("4096 bytes", [
            Directory(symlinks=[family.node("Symlink", name=b"a", target=b"x" * 4096)])
        ]),
        ("sizes beyond 64 bits", [
            Directory(directories=[link(b"a", leaf, 2**64 - 1), link(b"b", leaf, 5)])
        ]),
    ]:
        refused(internal, lambda: put(*sent), what)
    # Valid protobuf that is not canonical would have another digest than its parents say.
    raw = family.raw("DirectoryService", "Put", True, False)
    refused(internal, lambda: raw(iter([encode(leaf) + b"\x78\x01"])), "an unknown field")
    refused(
        grpc.StatusCode.NOT_FOUND, lambda: get(digest=digest_of(lone)),
        "what was refused was not kept",
    )


def path_infos(family):
    # The server of the test serves none.
    refused(
        grpc.StatusCode.UNIMPLEMENTED,
        lambda: family.path_infos.Get(family.path_info.GetPathInfoRequest(by_output_hash=bytes(20))),
        "path infos",
    )


def health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    check_one = lambda name: stub.Check(health_pb2.HealthCheckRequest(service=name))
    serving = health_pb2.HealthCheckResponse.SERVING
    names = [""] + [
        f"{family}.castore.v1.{service}"
        for family in ["tvix", "snix"]
        for service in ["BlobService", "DirectoryService"]
    ]
    for name in names:
        check(check_one(name).status == serving, f"health of {name}")
    refused(grpc.StatusCode.NOT_FOUND, lambda: check_one("nonsense"), "health of nothing")
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=""))
    check(next(watch).status == serving, "watching")
    watch.cancel()
    unknown = stub.Watch(health_pb2.HealthCheckRequest(service="nonsense"))
    check(next(unknown).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN, "watching nothing")
    unknown.cancel()


def reflection(channel, version):
    from google.protobuf import descriptor_pb2

    pb2 = importlib.import_module(f"reflection.{version}.reflection_pb2")
    grpc_module = importlib.import_module(f"reflection.{version}.reflection_pb2_grpc")
    stub = grpc_module.ServerReflectionStub(channel)
    ask = lambda **question: next(
        stub.ServerReflectionInfo(iter([pb2.ServerReflectionRequest(**question)]))
    )
    services = {s.name for s in ask(list_services="").list_services_response.service}
    for family in ["tvix", "snix"]:
        for service in ["BlobService", "DirectoryService"]:
            name = f"{family}.castore.v1.{service}"
            check(name in services, f"{name} is listed")
            answer = ask(file_containing_symbol=name)
            files = [
                descriptor_pb2.FileDescriptorProto.FromString(f)
                for f in answer.file_descriptor_response.file_descriptor_proto
            ]
            check(files[0].service[0].name == service, f"the file of {name}")
            names = {f.name for f in files}
            check(all(d in names for f in files for d in f.dependency), "with all its imports")
            check(ask(file_by_filename=files[0].name).file_descriptor_response, "by file name")
    check(ask(file_containing_symbol="nonsense").error_response.error_code == 5, "no such symbol")
    check(ask(file_by_filename="nonsense").error_response.error_code == 5, "no such file")


def main():
    for target in [sys.argv[1], f"unix:{sys.argv[2]}"]:
        with grpc.insecure_channel(
            target, options=[("grpc.max_send_message_length", -1)]
        ) as channel:
            for name in ["tvix", "snix"]:
                family = Family(name, channel)
                for part in [blobs, malformed, broken_off, directories, path_infos]:
                    part(family)
            # What was put under one name is there under the other.
            data = b"under both names"
            digest = put_blob(Family("tvix", channel), data, 100)
            check(read_blob(Family("snix", channel), digest) == data, "one store, two names")
            health(channel)
            for version in ["v1", "v1alpha"]:
                reflection(channel, version)
    print(f"{CHECKS} checks passed")


main()
