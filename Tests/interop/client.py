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
        self.info = load("store.v1.pathinfo_pb2")
        self.channel = channel

    def node(self, kind, **fields):
        return getattr(self.messages, kind + self.kind)(**fields)

    def entry(self, **fields):
        """The message around one node."""
        return getattr(self.messages, self.kind)(**fields)

    def raw(self, service, method, streams_in, streams_out, package="castore"):
        """A method as bytes in, bytes out."""
        kind = ("stream" if streams_in else "unary") + "_" + ("stream" if streams_out else "unary")
        return getattr(self.channel, kind)(f"/{self.name}.{package}.v1.{service}/{method}")


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


STORE_PATH = "0" * 32 + "-dummy"
NO_HASH = bytes(20)


def path_infos(family):
    kind = family.kind.lower()
    info_messages, stub = family.info, family.path_infos
    get = lambda **fields: stub.Get(family.path_info.GetPathInfoRequest(**fields))
    listed = lambda: list(stub.List(family.path_info.ListPathInfoRequest()))
    invalid = grpc.StatusCode.INVALID_ARGUMENT

    def hash_part(tag):
        # Twenty bytes as a base name spells them: the last byte first, five bits at a time.
        digits = "0123456789abcdfghijklmnpqrsvwxyz"
        number = int.from_bytes(tag, "little")
        return "".join(digits[(number >> (5 * i)) & 31] for i in reversed(range(32)))

    # Another one for each family and address.
    tag = b"%s %d" % (family.name.encode(), CHECKS)
    tag = tag.ljust(20, b"\x07")
    name = hash_part(tag) + "-name.of+1_thing"
    check(hash_part(NO_HASH) == "0" * 32, "the dummy's hash part")
    link = lambda name: family.node("Symlink", name=name.encode(), target=b"/nix/store/somewhereelse")

    def path_info(changes=None, **entry):
        message = info_messages.PathInfo(
            references=[NO_HASH, tag],
            narinfo=info_messages.NARInfo(
                nar_size=136,
                nar_sha256=bytes.fromhex(
                    "097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1"
                ),
                signatures=[info_messages.NARInfo.Signature(name="key-1", data=bytes(64))],
                reference_names=[STORE_PATH, name],
                deriver=info_messages.StorePath(name="dummy", digest=tag),
                ca=info_messages.NARInfo.CA(type=7, digest=bytes(32)),
            ),
            **{kind: family.entry(**(entry or {"symlink": link(name)}))},
        )
        if changes:
            changes(message)
        return message

    refused(grpc.StatusCode.NOT_FOUND, lambda: get(by_output_hash=tag), "get", "PathInfo not found")
    refused(grpc.StatusCode.UNIMPLEMENTED, lambda: get(), "get", "by_what needs to be specified")
    for wrong in [b"", b"x", tag[1:], tag + b"x"]:
        refused(invalid, lambda: get(by_output_hash=wrong), "get", "invalid output digest length")

    whole = path_info()
    check(stub.Put(whole) == whole, "put")
    check(get(by_output_hash=tag) == whole, "get")
    check(whole in listed(), "list")
    # The last one counts; what need not be there is not.
    bare = info_messages.PathInfo(
        narinfo=info_messages.NARInfo(nar_sha256=bytes(32)),
        **{kind: family.entry(symlink=link(name))},
    )
    check(stub.Put(bare) == bare, "put without anything")
    check(get(by_output_hash=tag) == bare, "get")
    check([i for i in listed() if i == bare or i == whole] == [bare], "list")
    for node in [
        {"directory": family.node("Directory", name=name.encode(), digest=EMPTY, size=0)},
        {"file": family.node("File", name=name.encode(), digest=EMPTY, size=0, executable=True)},
    ]:
        other = path_info(**node)
        check(stub.Put(other) == other, "another kind of node")

    nar = lambda m: m.narinfo
    for what, change in [
        ("no narinfo", lambda m: m.ClearField("narinfo")),
        ("a short reference", lambda m: m.references.append(b"\xff\xff")),
        ("a reference without a name", lambda m: m.references.append(tag)),
        ("names without references", lambda m: m.ClearField("references")),
        ("no names", lambda m: nar(m).ClearField("reference_names")),
        ("a name that is a path", lambda m: nar(m).reference_names.__setitem__(
            0, "/nix/store/" + STORE_PATH)),
        ("a name of another hash", lambda m: m.references.__setitem__(0, b"\xff" * 20)),
        ("no node", lambda m: m.ClearField(kind)),
        ("an empty node", lambda m: getattr(m, kind).Clear()),
        ("a short SHA-256", lambda m: setattr(nar(m), "nar_sha256", b"\xbe\xef")),
        ("no SHA-256", lambda m: nar(m).ClearField("nar_sha256")),
        ("a deriver without a hash", lambda m: nar(m).deriver.CopyFrom(
            info_messages.StorePath(name="foo"))),
        ("a deriver without a name", lambda m: nar(m).deriver.CopyFrom(
            info_messages.StorePath(digest=tag))),
        ("a short signature", lambda m: setattr(nar(m).signatures[0], "data", bytes(63))),
        ("a signature of nobody", lambda m: setattr(nar(m).signatures[0], "name", "")),
        ("a short content address", lambda m: setattr(nar(m).ca, "digest", bytes(31))),
        ("an unknown kind of it", lambda m: setattr(nar(m).ca, "type", 99)),
        ("a negative kind of it", lambda m: setattr(nar(m).ca, "type", -1)),
    ]:
        refused(invalid, lambda: stub.Put(path_info(change)), what, "Invalid path info")
    for what, node in [
        ("a name that is none", {"symlink": link("invalid")}),
        ("no name", {"symlink": link("")}),
        ("no target", {"symlink": family.node("Symlink", name=name.encode())}),
        ("a short digest", {"file": family.node("File", name=name.encode(), digest=b"\x00")}),
        ("no digest", {"directory": family.node("Directory", name=name.encode())}),
    ]:
        refused(invalid, lambda: stub.Put(path_info(**node)), what, "Invalid path info")
    check(whole not in listed(), "what was refused was not kept")

    # NARs of what was put.
    data = b"Hello World!"
    digest = put_blob(family, data, 100)
    leaf = family.messages.Directory(files=[family.node("File", name=b".keep", digest=EMPTY)])
    root = family.messages.Directory(
        directories=[family.node("Directory", name=b"keep", digest=digest_of(leaf), size=1)],
        files=[family.node("File", name=b".keep", digest=EMPTY)],
        symlinks=[family.node("Symlink", name=b"aa", target=b"/nix/store/somewhereelse")],
    )
    put_blob(family, b"", 1)
    family.dirs.Put(iter([leaf, root]))
    hello = lambda **fields: family.node("File", digest=digest, size=12, **fields)
    folder = family.node("Directory", digest=digest_of(root), size=4)
    for node, size, sha256 in [
        ({"symlink": link("")}, 136,
         "097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1"),
        ({"file": hello()}, 128,
         "03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040"),
        ({"directory": folder}, 840,
         "ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a"),
    ]:
        answer = stub.CalculateNAR(family.entry(**node))
        check((answer.nar_size, answer.nar_sha256.hex()) == (size, sha256), "a NAR")
    for what, node in [
        ("nothing", {}),
        ("a name", {"file": hello(name=b"name")}),
        ("a short digest", {"file": family.node("File", digest=b"short")}),
        ("no target", {"symlink": family.node("Symlink")}),
    ]:
        refused(invalid, lambda: stub.CalculateNAR(family.entry(**node)), what)
    for what, node in [
        ("a missing blob", {"file": family.node("File", digest=MISSING, size=1)}),
        ("a missing directory", {"directory": family.node("Directory", digest=MISSING)}),
    ]:
        refused(grpc.StatusCode.NOT_FOUND, lambda: stub.CalculateNAR(family.entry(**node)), what)
    internal = grpc.StatusCode.INTERNAL
    for size in [2, 42]:
        wrong = family.entry(file=family.node("File", digest=digest, size=size))
        refused(internal, lambda: stub.CalculateNAR(wrong), "a wrong size")

    # What nobody can decode, and what somebody may know.
    raw = lambda method: family.raw("PathInfoService", method, False, method == "List", "store")
    for garbage in [b"\x0a\x7f", b"\xff" * 11, b"\x0b", b"\x0a"]:
        for method in ["Get", "Put", "CalculateNAR", "List"]:
            refused(internal, lambda: raw(method)(garbage), method)
    more = whole.SerializeToString() + b"\xfa\x3f\x01x"
    check(info_messages.PathInfo.FromString(raw("Put")(more)) == whole, "an unknown field")


def health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    check_one = lambda name: stub.Check(health_pb2.HealthCheckRequest(service=name))
    serving = health_pb2.HealthCheckResponse.SERVING
    names = [""] + [
        f"{family}.{service}"
        for family in ["tvix", "snix"]
        for service in [
            "castore.v1.BlobService", "castore.v1.DirectoryService", "store.v1.PathInfoService",
        ]
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
        for package, service in [
            ("castore", "BlobService"), ("castore", "DirectoryService"),
            ("store", "PathInfoService"),
        ]:
            name = f"{family}.{package}.v1.{service}"
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
