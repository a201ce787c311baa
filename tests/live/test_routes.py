"""Every way to a real server makes the same model, copies no more than it has to, and survives mishaps."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ollama
import pytest

from gguf2ollama import Parameter, build, split
from gguf2ollama.errors import (
    FileChanged,
    NotEnoughSpace,
    ServerProblem,
    UsageProblem,
)
from gguf2ollama.events import ignore
from gguf2ollama.install.digest_cache import DigestCache
from gguf2ollama.install.hashing import Hashing
from gguf2ollama.install.preflight import require_server_space
from gguf2ollama.names import TEMPORARY_NAMESPACE
from gguf2ollama.oci import MediaType
from gguf2ollama.ollama import Client, ServerFeatures, ServerVersion
from gguf2ollama.ollama.store import LocalStore
from gguf2ollama.ollama.store_check import check_store
from gguf2ollama.planning.layers import Image, Text, lay_out_weights
from gguf2ollama.sources.local import find_model
from tests.builders import tiny_llama
from tests.live import parts
from tests.live.servers import find_program, running_ollama
from tests.live.test_build import NEAR_ZEPHYR, STEADY

pytestmark = pytest.mark.live

VIAS = ("link", "pull", "upload")
MESSAGES = [{"role": "user", "content": "Say hi"}]
NOBODY = 65534
is_root = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture(autouse=True)
def _ours(monkeypatch, tmp_path):
    """Know of no store but what a test names, and remember no digests."""
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("GGUF2OLLAMA_PARTS", str(parts.cache_dir()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server(ollama_server, monkeypatch):
    """Return a server whose store we know of."""
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    return ollama_server


@pytest.fixture
def client(ollama_server):
    with Client(ollama_server.url) as client:
        yield client


@pytest.fixture(scope="module")
def model(smollm2, tmp_path_factory):
    """Return the real model as a file of its own, on the file system of the servers' stores."""
    path = tmp_path_factory.mktemp("model") / smollm2.name
    shutil.copy(smollm2, path)
    path.chmod(0o644)
    return path


@pytest.fixture(scope="module")
def shards(model, tmp_path_factory):
    made = split(model, tmp_path_factory.mktemp("shards") / "smol", max_tensors=100)
    assert len(made) == 3
    return made


@pytest.fixture(params=["file", "shards"])
def source(request, model, shards):
    return model if request.param == "file" else shards[1]


def manifest_bytes(server, name):
    """Return the manifest as it stands in the store."""
    namespace, _, model = name.rpartition("/")
    return (
        server.store / "manifests/registry.ollama.ai" / (namespace or "library") / model / "latest"
    ).read_bytes()


def without_licenses(manifest):
    """Return a manifest without the layers of which one says how the model got there."""
    value = json.loads(manifest)
    layers = [layer for layer in value["layers"] if layer["mediaType"] != MediaType.LICENSE.value]
    return value | {"layers": layers}


def weights(server, name):
    """Return the layers of weights, each with its blob."""
    layers = json.loads(manifest_bytes(server, name))["layers"]
    return [
        (layer, server.store / "blobs" / layer["digest"].replace(":", "-"))
        for layer in layers
        if layer["mediaType"].endswith("image.model")
    ]


def say(client, name):
    return "".join(chunk.content for chunk in client.chat(name, MESSAGES, options=STEADY))


def has_leftovers(server):
    """Whether anything temporary is in the store."""
    with Client(server.url) as client:
        if any(TEMPORARY_NAMESPACE in model.name for model in client.list()):
            return True
    return any(path.name.endswith(".part") for path in server.store.rglob("*"))


@contextlib.contextmanager
def own_server(part, folder, **environment):
    """Run a server of our own, which a test may stop and whose folder it may prepare."""
    program = find_program(part)
    if program is None:
        from tests.live.conftest import missing  # noqa: PLC0415

        missing(f"Ollama {part.version}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with running_ollama(part, program, folder) as server:
            yield server


def added_blobs(server, before):
    """Return what is in a store that was not before; what a server is about to remove gets five seconds."""
    for _ in range(50):
        added = {blob.name for blob in (server.store / "blobs").iterdir()} - before
        if not added:
            break
        time.sleep(0.1)
    return added


def test_every_way_makes_the_same_model(server, client, source):
    before = {blob.name for blob in (server.store / "blobs").iterdir()}
    # with the template that the profile names: which one is best depends on the way
    options = {"system": "Be <brief> & kind.", "licenses": ("One", "Two"), "load": False, "verify": False}
    wanted = [Parameter(name="temperature", value=0.7), Parameter(name="top_k", value=20)]
    shown, answers, manifests = [], [], []
    for via in VIAS:
        built = build(source, name=f"by-{via}", host=server.url, via=via, parameters=wanted, **options)
        assert (built.plan.destination.transport, built.differences) == (via, ())
        found = client.show(f"by-{via}")
        # but for the line that says how it got there
        licenses = [line for line in found.license.splitlines() if ": made by " not in line]
        shown.append((found.template, found.system, dict(found.parameters), licenses, found.capabilities))
        answers.append(say(client, f"by-{via}"))
        manifests.append(without_licenses(manifest_bytes(server, f"by-{via}")))
        client.unload(f"by-{via}")
        client.delete(f"by-{via}")
        if via != "upload":  # after which Ollama keeps some of its own
            assert added_blobs(server, before) == set()
    assert shown[0] == shown[1] == shown[2]
    assert answers[0] == answers[1] == answers[2] != ""
    assert manifests[0] == manifests[1]
    said = manifests[0]
    assert (said.pop("runner"), said.pop("format")) == ("llamacpp", "gguf"), (
        "copies are made of what we wrote"
    )
    if server.features.keeps_shards:
        assert said == manifests[2], "not what Ollama itself would have written"


def test_every_way_prompts_the_model_alike(server, client, model):
    system = {"role": "system", "content": "Be kind."}
    asked = [
        MESSAGES,
        [system, *MESSAGES],
        [*MESSAGES, {"role": "assistant", "content": " Hi \n"}, *MESSAGES],
    ]
    prompts, answers = [], []
    for via in VIAS:
        built = build(model, name=f"prompted-{via}", host=server.url, via=via)
        assert (built.plan.destination.transport, built.differences) == (via, ())
        prompts.append([client.render(f"prompted-{via}", messages) for messages in asked])
        answers.append(say(client, f"prompted-{via}"))
        client.unload(f"prompted-{via}")
        client.delete(f"prompted-{via}")
    assert prompts[0] == prompts[1] == prompts[2]
    assert "SmolLM" in prompts[0][0], "the authors' default"
    assert answers[0] == answers[1] == answers[2] != ""


def test_the_small_layers_are_those_of_ollama(server):
    manifests = []
    for via in VIAS:
        path = tiny_llama(server.store.parent / "digests.gguf")
        how = {"host": server.url, "via": via, "load": False, "verify": False}
        build(path, name=f"digests-{via}", system="Hi", context=512, **how)
        value = without_licenses(manifest_bytes(server, f"digests-{via}"))
        small = [layer for layer in value["layers"] if not layer["mediaType"].endswith("image.model")]
        manifests.append([value["config"]["digest"], *(layer["digest"] for layer in small)])
    assert manifests[0] == manifests[1]
    if server.features.keeps_shards:
        assert manifests[0] == manifests[2], "not what Ollama itself would have written"


@pytest.mark.parametrize("via, files", [("link", "shards"), ("pull", "file"), ("upload", "shards")])
def test_the_official_client_and_the_program_run_it(server, model, shards, via, files):
    name = f"official-{via}"
    short = [Parameter(name="num_predict", value=48)]  # a model this small may not find an end
    source = model if files == "file" else shards[1]
    build(source, name=name, host=server.url, via=via, load=False, parameters=short)
    with ollama.Client(host=server.url) as official:
        assert f"{name}:latest" in {model.model for model in official.list().models}
        assert "SmolLM" in official.show(name).modelfile
        assert official.chat(name, MESSAGES, options=STEADY).message.content
    done = subprocess.run(
        [server.program, "run", name, "Say hi"],
        env=server.environment,
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout.strip()


@pytest.mark.parametrize("via", ["link", "pull"])
def test_the_digest_of_a_layer_is_that_of_the_file(server, model, shards, via):
    build(model, name="digest", host=server.url, via=via, load=False)
    ((layer, blob),) = weights(server, "digest")
    assert layer["digest"] == f"sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}"
    assert blob.stat().st_size == model.stat().st_size
    if server.features.keeps_shards:
        build(shards[0], name="digest", host=server.url, via=via, load=False)
        digests = [f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in shards]
        assert [layer["digest"] for layer, _ in weights(server, "digest")] == digests


def test_a_link_writes_next_to_nothing(server, client, model, shards):
    for name in [one.name for one in client.list()]:
        client.delete(name)  # so that no blob already exists
    files = [model, *(shards if server.features.keeps_shards else [])]
    before = allocated(server.store)
    build(model, name="linked", host=server.url, via="link", load=False)
    if server.features.keeps_shards:
        build(shards[0], name="linked-shards", host=server.url, via="link", load=False)
    blobs = list((server.store / "blobs").iterdir())
    assert all(any(blob.samefile(path) for blob in blobs) for path in files)
    assert allocated(server.store, but=files) - before < 1 << 20


def allocated(folder, *, but=()):
    """Count the bytes that the files of a folder take on the disk, less those shared with others."""
    return sum(
        path.stat().st_blocks * 512
        for path in folder.rglob("*")
        if path.is_file() and not any(path.samefile(other) for other in but)
    )


def test_a_linked_file_is_not_hashed_again_when_ollama_touches_its_blob(server, tmp_path):
    # without a chat template: that of an upload might be patched, and its weights be another blob
    path = tiny_llama(tmp_path / "touched.gguf", seed=21, chat_template=None)
    os.utime(path, (path.stat().st_mtime - 60,) * 2)  # one that was not written just now
    build(path, name="touched", host=server.url, via="link", load=False)
    before = path.stat()
    how = {"host": server.url, "load": False, "allow_mismatch": True}
    build(path, name="touching", via="upload", **how)
    assert path.stat().st_mtime_ns != before.st_mtime_ns, "then this test tests nothing"
    for via in VIAS:
        updates = []
        build(path, name=f"touching-{via}", via=via, progress=updates.append, **how)
        assert not [one for one in updates if one.task.startswith("hashing")]


@pytest.mark.parametrize("via", ["auto", "link", "pull"])
def test_a_template_that_detection_would_displace_stays_native(server, client, tmp_path, via):
    path = tiny_llama(tmp_path / "zephyr.gguf", chat_template=NEAR_ZEPHYR)
    built = build(path, name=f"zephyr-{via}", host=server.url, via=via)
    assert built.plan.inspection.recipe.template_origin == "native"
    assert client.show(f"zephyr-{via}").template == NEAR_ZEPHYR
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    rendered = client.render(f"zephyr-{via}", messages)
    assert rendered == exactly(NEAR_ZEPHYR, messages)
    displaced = build(path, name="zephyr-upload", host=server.url, via="upload", verify=False)
    assert "a TEMPLATE of the server's own is used" in displaced.warnings[0]
    assert client.render("zephyr-upload", messages) != rendered


def exactly(template, messages):
    """Render as transformers do."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        messages=messages, add_generation_prompt=True, eos_token="<|im_end|>", bos_token="<|im_start|>"
    )


def test_the_way_is_a_link_where_the_store_is_ours_and_else_a_pull(ollama_server, monkeypatch, tmp_path):
    path = tiny_llama(tmp_path / "auto.gguf")
    assert build(path, host=ollama_server.url, load=False).plan.destination.transport == "pull"
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.store))
    told = []
    assert (
        build(path, host=ollama_server.url, load=False, notify=told.append).plan.destination.transport
        == "link"
    )
    assert any("Transport: link" in line and "owned by you" in line for line in told)
    (tmp_path / "other" / "blobs").mkdir(parents=True)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "other"))
    assert build(path, host=ollama_server.url, load=False).plan.destination.transport == "pull"
    assert list((tmp_path / "other" / "blobs").iterdir()) == []
    with pytest.raises(UsageProblem):
        build(path, host=ollama_server.url, load=False, via="link")


@pytest.mark.parametrize("via", ["link", "pull"])
def test_a_blob_that_is_there_is_not_touched(server, tmp_path, via):
    path = tiny_llama(tmp_path / "there.gguf", seed=3, chat_template=None)
    build(
        path,
        name="there",
        host=server.url,
        via="upload" if server.features.keeps_shards else "pull",
        load=False,
    )
    ((_, blob),) = weights(server, "there")
    before = blob.stat()
    build(path, name="there-too", host=server.url, via=via, load=False)
    after = blob.stat()
    assert weights(server, "there-too")[0][1] == blob
    assert (after.st_ino, after.st_mtime_ns, after.st_nlink) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_nlink,
    )


@pytest.mark.parametrize("via", VIAS)
def test_a_damaged_blob_is_replaced(server, client, tmp_path, monkeypatch, via):
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
    path = tiny_llama(tmp_path / "damaged.gguf", seed=4, chat_template=None)
    content = path.read_bytes()
    blob = server.store / "blobs" / f"sha256-{hashlib.sha256(content).hexdigest()}"
    for damage in (b"half", bytes(len(content))):
        blob.unlink(missing_ok=True)
        blob.write_bytes(damage)
        notes = []
        build(path, name="damaged", host=server.url, via=via, load=False, notify=notes.append)
        assert any("has a damaged copy, which is replaced" in note for note in notes)
        assert blob.read_bytes() == content
    client.delete("damaged")


def test_a_store_behind_a_symbolic_link_is_written(server, client, monkeypatch, tmp_path):
    (tmp_path / "models").symlink_to(server.store)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    path = tiny_llama(tmp_path / "behind.gguf")
    assert build(path, host=server.url).plan.destination.transport == "link"
    assert client.show("behind").template


@pytest.fixture
def open_folder():
    """Return a folder that every user may read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def as_nobody():
    """Be a user who owns nothing: to root no store is read-only."""
    if not is_root:
        pytest.skip("only root can be another user")
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.mark.parametrize("is_hidden", [False, True])
def test_a_store_that_is_not_ours_to_write_is_pulled_into(newest_ollama, open_folder, monkeypatch, is_hidden):
    path = tiny_llama(open_folder / "readonly.gguf")
    build(path, host=newest_ollama.url, via="pull", load=False)  # has all modules loaded
    with own_server(parts.OLLAMAS[0], open_folder) as server:
        (server.store / "manifests").mkdir(exist_ok=True)
        server.store.chmod(0o700 if is_hidden else 0o755)
        monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
        # that user may not be allowed to run the interpreter of these tests, which trying a template takes
        how = {"host": server.url, "load": False, "verify": False}
        with as_nobody():
            assert build(path, **how).plan.destination.transport == "pull"
            with pytest.raises(UsageProblem, match="--via link"):
                build(path, via="link", **how)
            with pytest.raises(UsageProblem):
                build(path, store=server.store, verify=False)
        assert not has_leftovers(server)


@pytest.mark.skipif(not is_root, reason="only root gives files away")
@pytest.mark.parametrize("part", parts.OLLAMAS, ids=lambda part: part.version)
def test_what_root_writes_belongs_to_the_owner_of_the_store(part, shards, tmp_path):
    root = tmp_path / "models"
    (root / "blobs").mkdir(parents=True)
    for folder in (root, root / "blobs"):
        os.chown(folder, NOBODY, NOBODY)
    build(shards[0], name="owned", store=root, for_ollama=part.version)
    written = [path for path in root.rglob("*") if not any(path.samefile(shard) for shard in shards)]
    assert len(written) > 6
    assert {(path.stat().st_uid, path.stat().st_gid) for path in written} == {(NOBODY, NOBODY)}
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in root.rglob("*"))
    with own_server(part, tmp_path) as server, Client(server.url) as client:
        assert say(client, "owned")


@pytest.mark.parametrize("part", parts.OLLAMAS, ids=lambda part: part.version)
def test_a_store_on_another_disk_gets_a_copy_that_is_checked(part, model, monkeypatch):
    memory = Path("/dev/shm")  # noqa: S108 - a file system of its own on Linux
    if not memory.is_dir() or memory.stat().st_dev == model.stat().st_dev:
        pytest.skip("there is no second file system here")
    with (
        tempfile.TemporaryDirectory(dir=memory) as folder,
        own_server(part, Path(folder)) as server,
        Client(server.url) as client,
    ):
        monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
        told = []
        assert (
            build(model, name="copied", host=server.url, notify=told.append).plan.destination.transport
            == "link"
        )
        assert f"{model.name}: copied" in told
        ((layer, blob),) = weights(server, "copied")
        assert layer["digest"] == f"sha256:{hashlib.sha256(blob.read_bytes()).hexdigest()}"
        assert not blob.samefile(model)
        assert say(client, "copied")
        assert not has_leftovers(server)


@pytest.fixture
def disk_of():
    """Return a function that mounts a file system of so many megabytes where a server has its store."""
    mounted = []

    def mount(megabytes, folder):
        place = folder / "models"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "gguf2ollama-test", str(place)]
        if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small file system cannot be mounted here")
        mounted.append(place)

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)


def large_files(server):
    """Return the files in the store that take more than a megabyte."""
    return [path for path in server.store.rglob("*") if path.is_file() and path.stat().st_blocks > 2048]


@pytest.mark.parametrize("via", [*VIAS, "store"])
def test_a_disk_that_is_too_small_ends_with_7_before_anything_is_written(
    disk_of, model, monkeypatch, tmp_path, via
):
    disk_of(30, tmp_path)
    with own_server(parts.OLLAMAS[0], tmp_path) as server, Client(server.url) as client:
        monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
        small = tiny_llama(tmp_path / "small.gguf")
        build(small, name="small", host=server.url, load=False)
        before = manifest_bytes(server, "small")
        how = {"store": server.store} if via == "store" else {"host": server.url, "via": via}
        how |= {"verify": False}  # else an upload might patch the chat template, and be larger
        with pytest.raises(NotEnoughSpace, match=f"{model.stat().st_size:,} bytes needed") as caught:
            build(model, name="small", **how)
        assert str(server.store / "blobs") in str(caught.value)
        assert caught.value.exit_code == 7
        assert caught.value.hint
        assert [one.name for one in client.list()] == ["small:latest"]
        assert manifest_bytes(server, "small") == before
        assert client.render("small", MESSAGES)
        assert large_files(server) == []
        assert not has_leftovers(server)
        # what is there needs no room
        build(small, name="again", host=server.url, via="upload", load=False)


@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_disk_that_fills_up_meanwhile_is_told_and_the_next_call_does_it(
    disk_of, model, monkeypatch, tmp_path, via
):
    disk_of(120, tmp_path)
    with own_server(parts.OLLAMAS[0], tmp_path) as server, Client(server.url) as client:
        monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
        build(tiny_llama(tmp_path / "small.gguf"), host=server.url, load=False)
        other = server.store / "of-someone-else"

        def count_and_fill(*arguments, **options):
            require_server_space(*arguments, **options)
            other.write_bytes(bytes(60 << 20))

        with pytest.MonkeyPatch.context() as patch:
            # while bytes come would be a race with them; before the first one, room was there and is not
            room = {"pull": "registry_pull", "upload": "upload"}[via]
            patch.setattr(f"gguf2ollama.install.{room}.require_server_space", count_and_fill)
            with pytest.raises(NotEnoughSpace) as caught:
                build(model, name="large", host=server.url, via=via)
        assert other.exists()
        assert caught.value.hint
        assert [one.name for one in client.list()] == ["small:latest"]
        left = [path for path in large_files(server) if path != other]
        assert left == []
        check = check_store(LocalStore(server.store), hash_blobs=True)
        assert {one.level for one in check} <= {"note"}
        other.unlink()
        assert build(model, name="large", host=server.url, via=via, load=False)
        assert say(client, "large")


def test_the_disk_of_a_store_that_is_not_ours_to_write_is_counted(open_folder, disk_of, model, tmp_path):
    large = shutil.copy(model, open_folder / "large.gguf")
    small = tiny_llama(open_folder / "small.gguf")
    disk_of(30, open_folder)
    with own_server(parts.OLLAMAS[0], open_folder) as server:
        build(small, host=server.url, via="pull", load=False)
        environ = {"OLLAMA_MODELS": str(server.store)}
        cache = DigestCache(tmp_path / "digests.json")
        with Client(server.url) as client, Hashing(cache=cache, progress=ignore) as hashing:
            with as_nobody(), pytest.raises(NotEnoughSpace, match="bytes needed"):
                require_server_space(
                    client,
                    image := weights_alone(large),
                    digests=lambda: hashing.digests(image),
                    environ=environ,
                )
            with as_nobody():
                image = weights_alone(small)
                require_server_space(client, image, digests=lambda: hashing.digests(image), environ=environ)


def weights_alone(path):
    """Lay out a model that is nothing but its weights."""
    weights = lay_out_weights(find_model(path), takes_shards=True)
    return Image(weights=tuple(weights), texts=(), config=Text(media_type=MediaType.CONFIG, content=b"{}"))


@pytest.mark.parametrize("copies,fits", [(3.1, True), (2.7, False)])
def test_a_model_that_the_server_rewrites_needs_room_for_three(disk_of, monkeypatch, tmp_path, copies, fits):
    path = tiny_llama(tmp_path / "rewritten.gguf", width=512, blocks=4)
    disk_of(int(copies * path.stat().st_size / (1 << 20)), tmp_path)
    part = next(
        part for part in parts.OLLAMAS if ServerFeatures.of(ServerVersion.parse(part.version)).rewrites_gguf
    )
    how = {"via": "upload", "load": False, "allow_mismatch": True}
    with own_server(part, tmp_path) as server:
        if not fits:  # while the store is not known: the server itself finds no room
            with pytest.raises(NotEnoughSpace, match="disk of the Ollama server"):
                build(path, host=server.url, **how)
        monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
        if not fits:
            with pytest.raises(NotEnoughSpace, match="rewrites what is uploaded"):
                build(path, host=server.url, **how)
        assert build(path, host=server.url, **how | ({} if fits else {"via": "pull"}))


@pytest.mark.parametrize("via", VIAS)
def test_two_builds_of_one_name_at_once_leave_one_model_that_works(server, client, model, tmp_path, via):
    name = f"twice-{via}"
    # a file of its own: 'create' changes the time of a blob, and so of a file that is linked there
    path = tmp_path / f"{name}.gguf"
    shutil.copy(model, path)
    builders = [
        subprocess.Popen(
            [sys.executable, "-m", "gguf2ollama", "build", path, "--name", name, "--via", via],
            env=server.environment | {"XDG_CACHE_HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ends = [(builder.communicate(timeout=120)[1], builder.returncode) for builder in builders]
    assert 0 in {code for _, code in ends}, ends
    for err, code in ends:
        assert "Traceback" not in err
        assert code in {0, 3, 5}, err
    assert say(client, name)
    assert not has_leftovers(server)


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("at, rests", [("hashing", True), ("hashing", False), ("later", True)])
def test_a_source_that_is_changed_while_it_is_read_is_read_anew_once(
    newest_ollama, model, monkeypatch, tmp_path, via, at, rests
):
    server = newest_ollama  # what reads the file knows of no release
    monkeypatch.setenv("OLLAMA_MODELS", str(server.store))
    name = f"changing-{at}-{via}-{rests}"
    path = tmp_path / f"{name}.gguf"
    shutil.copy(model, path)
    changes = []

    def change():
        if not (rests and changes):
            with path.open("r+b") as stream:
                stream.seek(-4, os.SEEK_END)
                # a number that no server has yet; random bytes may be none, which llama-quantize refuses
                stream.write(struct.pack("<f", random.random()))  # noqa: S311
            changes.append(path)

    change()
    changes.clear()

    def meddle(update):
        if update.task.startswith("hashing") is (at == "hashing") and update.done > 1 << 20:
            change()

    def change_and_link(*arguments):
        if at == "later":
            change()
        return link(*arguments)

    link = os.link
    refused = contextlib.nullcontext() if rests else pytest.raises(FileChanged)
    with pytest.MonkeyPatch.context() as patch, refused:
        patch.setattr("os.link", change_and_link)  # which tells of no progress
        build(path, name=name, host=server.url, via=via, progress=meddle)
    assert changes
    assert not has_leftovers(server)
    if not rests:
        with Client(server.url) as client:
            assert f"{name}:latest" not in {one.name for one in client.list()}
        assert build(path, name=name, host=server.url, via=via)
    if via != "upload":  # of which some servers make another file
        assert [blob.read_bytes() == path.read_bytes() for _, blob in weights(server, name)] == [True]


def test_a_linked_file_that_ollama_touches_while_it_is_hashed_is_hashed_anew(server, tmp_path):
    path = tiny_llama(tmp_path / "touched.gguf", seed=22, chat_template=None)
    how = {"host": server.url, "load": False, "allow_mismatch": True}
    build(path, name="linked", via="link", **how)
    touched, told = [], []

    def touch(update):
        if update.task.startswith("hashing") and not touched:
            touched.append(build(path, name="touching", via="upload", **how))

    build(path, name="again", via="link", rehash=True, progress=touch, notify=told.append, **how)
    assert touched
    assert [one for one in told if "starting over" in one]


@pytest.mark.parametrize("part", parts.OLLAMAS, ids=lambda part: part.version)
@pytest.mark.parametrize("via", ["pull", "upload"])
def test_a_server_that_dies_in_the_middle_is_told_and_the_next_call_does_it(part, model, tmp_path, via):
    with own_server(part, tmp_path) as server:

        def kill(update):
            if update.task.startswith("uploading") and update.done > 1 << 20:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server.pid, signal.SIGKILL)

        with pytest.raises(ServerProblem) as caught:
            build(model, name="again", host=server.url, via=via, progress=kill)
        assert caught.value.hint
    with own_server(part, tmp_path) as server, Client(server.url) as client:
        assert [one.name for one in client.list()] == []
        assert build(model, name="again", host=server.url, via=via)
        assert say(client, "again")
        assert not has_leftovers(server)
