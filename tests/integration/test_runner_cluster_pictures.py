"""Pictures in a cluster: whoever is asked has them, whoever made them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.cluster import pictures
from bus.contracts.jobs import JobRequest
from bus.contracts.outputs import OutputParams, OutputReply
from bus.protocol.control import ControlError
from bus.transport.client import request
from pipeline_runner.cluster import elsewhere
from tests.support.cluster_runners import Cluster, ClusterRunner, gated
from tests.support.factories import context, image, request_for
from tests.support.helpers import REPLY_SECONDS, wait_until
from tests.support.nats_servers import NatsServers


@pytest.fixture
def cluster(no_leaks: None, nats: NatsServers, tmp_path: Path) -> Iterator[Cluster]:  # noqa: ARG001 - it looks after us
    """Return a cluster of one server without a runner."""
    cluster = Cluster(nats, tmp_path)
    yield cluster
    cluster.close()


def painting(name: str = "painting") -> JobRequest:
    """Return a job that makes a picture."""
    return request_for(name, pipeline="painting", stage="paint", config={}, mark=context())


def picture(runner: ClusterRunner, sha256: str, *, thumbnail: bool = False) -> bytes:
    """Ask a runner for a picture."""
    data = b""
    while True:
        params = OutputParams(sha256=sha256, thumbnail=thumbnail, offset=len(data))
        reply = request(runner.control, "output", params, OutputReply, REPLY_SECONDS)
        data += reply.data
        if len(data) >= reply.size:
            return data


def paint(cluster: Cluster, name: str = "painting") -> str:
    """Have a picture made and return its hash."""
    cluster.publish(painting(name))
    (image,) = cluster.ended(name).result.images
    return image.sha256


def test_a_picture_is_there_before_its_end_and_any_runner_has_it(cluster: Cluster) -> None:
    """With its thumbnail, and also once the one that made it is gone."""
    maker = cluster.runner()
    sha256 = paint(cluster)
    assert cluster.run(pictures.find(cluster.js, sha256))
    original = picture(maker, sha256)
    maker.stop()
    other = cluster.runner()
    wait_until(lambda: other.metric("connected") == 1, what="a connection")
    assert picture(other, sha256) == original
    assert hashlib.sha256(original).hexdigest() == sha256
    assert picture(other, sha256, thumbnail=True)
    cluster.run(pictures.remove(cluster.js, sha256))
    assert picture(other, sha256) == original  # for a while


def test_a_picture_that_nobody_has_is_not_found(cluster: Cluster) -> None:
    """And whether one is there is not known while no server answers."""
    runner = cluster.runner()
    wait_until(lambda: runner.metric("connected") == 1, what="a connection")
    with pytest.raises(ControlError) as refused:
        picture(runner, "0" * 64)
    assert refused.value.code == "not_found"
    cluster.nats.nodes[0].kill()
    wait_until(lambda: runner.metric("connected") == 0, what="a broken connection")
    with pytest.raises(ControlError, match="the cluster does not answer") as refused:
        picture(runner, "0" * 64)
    assert refused.value.code == "unavailable"


def test_the_pictures_of_others_take_a_bounded_place(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those go that nobody has asked for longest, and come back when somebody does."""
    maker = cluster.runner()
    hashes = [paint(cluster, name) for name in ("a", "bb", "ccc")]
    originals = [picture(maker, one) for one in hashes]
    maker.stop()
    monkeypatch.setattr(elsewhere, "KEPT_BYTES", len(originals[0]) + len(originals[1]))
    other = cluster.runner()
    wait_until(lambda: other.metric("connected") == 1, what="a connection")
    for _ in range(2):
        assert [picture(other, one) for one in hashes] == originals
    kept = [path.name[:64] for path in (other.folder / "outputs" / elsewhere.FOLDER).glob("*/*")]
    assert hashes[2] in kept
    assert len(kept) < len(hashes)


def test_the_pictures_of_others_are_counted_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a million, and a second in which the cluster does not hear of our jobs is long."""
    counts: list[int] = []
    trimmed = elsewhere.Elsewhere._trimmed

    def counted(one: elsewhere.Elsewhere) -> int:
        counts.append(trimmed(one))
        return counts[-1]

    monkeypatch.setattr(elsewhere.Elsewhere, "_trimmed", counted)
    maker = cluster.runner()
    hashes = [paint(cluster, name) for name in ("a", "bb", "ccc")]
    other = cluster.runner()
    wait_until(lambda: other.metric("connected") == 1, what="a connection")
    sizes = [len(picture(other, one)) for one in hashes]
    assert counts == sizes[:1]
    assert other.thread.service._cluster
    assert other.thread.service._cluster.pictures._bytes == sum(sizes)
    maker.stop()


def test_a_file_that_is_gone_or_damaged_here_is_fetched(cluster: Cluster) -> None:
    """The cluster has it whole."""
    maker = cluster.runner()
    sha256 = paint(cluster)
    original = picture(maker, sha256)
    (path,) = (maker.folder / "outputs").rglob(f"{sha256}.png")
    path.write_bytes(b"damaged")
    assert picture(maker, sha256) == original
    path.unlink()
    assert picture(maker, sha256) == original


def test_a_picture_that_is_gone_before_it_was_shared_does_not_hold_up_its_end(cluster: Cluster) -> None:
    """A person has removed it, or a plug-in has named one that never was."""
    runner = cluster.runner()
    sha256 = "2" * 64
    runner.gated.images = (image(sha256), image("no hash"))
    cluster.publish(gated("job"))
    assert [one.sha256 for one in cluster.ended("job").result.images] == [sha256, "no hash"]
    assert cluster.run(pictures.find(cluster.js, sha256)) is None


def test_a_damaged_picture_of_the_cluster_is_not_believed(cluster: Cluster, tmp_path: Path) -> None:
    """Whoever asks hears so."""
    runner = cluster.runner()
    wait_until(lambda: runner.metric("connected") == 1, what="a connection")
    (tmp_path / "other.png").write_bytes(b"other")
    cluster.run(pictures.put(cluster.js, "1" * 64, tmp_path / "other.png", "image/png"))
    with pytest.raises(ControlError, match="does not match its hash"):
        picture(runner, "1" * 64)
    assert not list((runner.folder / "outputs").rglob("*" + "1" * 64 + "*"))
