"""Models are saved and loaded whole, and whatever is not a sound model is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import torch as safetensors

from atomseg_app.errors import FileError, UserError
from atomseg_app.networks import card as cards
from atomseg_app.networks import store
from atomseg_app.networks.architectures import ARCHITECTURES, make_network, network_state
from atomseg_app.networks.atomsegnet import SigmoidUNet
from atomseg_app.networks.card import (
    Model,
    ModelCard,
    broken_models,
    bundled_folder,
    find_model,
    list_models,
    read_card,
    user_folder,
)
from atomseg_app.networks.store import load_model, save_model

MakeCard = Callable[..., ModelCard]
WIDTHS = (4, 6, 8)


def network(seed: int = 1) -> SigmoidUNet:
    """A small network whose statistics of normalisation are not those it begins with."""
    torch.manual_seed(seed)
    module = SigmoidUNet(WIDTHS).train()
    with torch.no_grad():
        module(torch.rand(2, 1, 32, 32))
    return module.eval()


@pytest.fixture
def saved(tmp_path: Path, make_card: MakeCard) -> Model:
    return save_model(tmp_path / "models", network(), make_card())


def test_what_is_saved_is_loaded(saved: Model) -> None:
    module, card = load_model(saved.card_path)
    assert not module.training
    assert card == saved.card
    assert card.parameters == sum(p.numel() for p in network().parameters())
    assert card.sha256 == hashlib.sha256(saved.weights_path.read_bytes()).hexdigest()
    image = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(module(image), network()(image), atol=2e-3)
    for name, tensor in network().state_dict().items():
        kept = module.state_dict()[name]
        assert kept.dtype == tensor.dtype
        exact = tensor.ndim < 2  # kernels are rounded to half precision, eleven bits
        assert torch.allclose(kept, tensor, rtol=0 if exact else 2**-11, atol=0 if exact else 1e-7)


def test_kernels_take_two_bytes_a_number_unless_they_do_not_fit(tmp_path: Path, make_card: MakeCard) -> None:
    large = network()
    large.last[0].weight.data *= 1e6
    model = save_model(tmp_path, large, make_card())
    stored = safetensors.load(model.weights_path.read_bytes())
    assert stored["down.1.0.weight"].dtype == torch.float16
    assert stored["down.1.0.bias"].dtype == torch.float32
    assert stored["last.0.weight"].dtype == torch.float32
    assert torch.equal(load_model(model)[0].last[0].weight, large.last[0].weight)


def test_random_numbers_are_left_as_they_were(saved: Model) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(saved.card_path)
    assert torch.equal(torch.rand(3), expected)


def test_an_existing_model_is_replaced_only_if_asked(saved: Model, make_card: MakeCard) -> None:
    folder = saved.card_path.parent
    with pytest.raises(FileError, match="already a model 'small-unet'"):
        save_model(folder, network(2), make_card())
    save_model(folder, network(2), make_card(title="Second"), overwrite=True)
    module, card = load_model(folder)
    assert card.title == "Second"
    assert torch.equal(module.last[0].bias, network(2).last[0].bias)
    assert sorted(path.name for path in folder.iterdir()) == ["small-unet.json", "small-unet.safetensors"]


def test_a_module_of_another_architecture_or_with_broken_numbers_is_not_saved(
    tmp_path: Path, make_card: MakeCard
) -> None:
    with pytest.raises(ValueError, match="not the one its card describes"):
        save_model(tmp_path, SigmoidUNet((4, 6, 10)), make_card())
    broken = network()
    broken.last[0].bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        save_model(tmp_path, broken, make_card())
    assert not list(tmp_path.iterdir())


def test_weights_that_come_with_the_program_have_a_bound(
    tmp_path: Path, make_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "bundled_folder", lambda: tmp_path / "bundled")
    monkeypatch.setattr(store, "LARGEST_BUNDLED", 5000)
    with pytest.raises(UserError, match="at most 5,000 are allowed there"):
        save_model(tmp_path / "bundled", network(), make_card())
    assert not (tmp_path / "bundled").exists()
    assert save_model(tmp_path / "other", network(), make_card()).origin == "file"


def test_models_are_listed_and_found_by_name_path_and_folder(saved: Model, make_card: MakeCard) -> None:
    before = len(list_models())
    save_model(user_folder(), network(), make_card(name="mine"))
    save_model(user_folder(), network(), make_card(name="wedge-one", task="wedge"))
    assert len(list_models()) == before + 2
    assert [(m.card.name, m.origin) for m in list_models("wedge") if m.origin == "yours"] == [("wedge-one", "yours")]
    assert find_model("mine").origin == "yours"
    folder = saved.card_path.parent
    for way in (saved.card_path, saved.weights_path, folder, str(folder)):
        assert find_model(way) == Model(saved.card, saved.card_path, "file")
    with pytest.raises(UserError, match=r"no model 'theirs'.*mine"):
        find_model("theirs")
    with pytest.raises(UserError, match="holds 2 model cards"):
        find_model(user_folder())


def test_a_name_of_the_program_cannot_be_taken(tmp_path: Path, make_card: MakeCard, monkeypatch) -> None:
    monkeypatch.setattr(cards, "bundled_folder", lambda: tmp_path)
    save_model(tmp_path, network(), make_card())
    assert find_model("small-unet").origin == "bundled"
    with pytest.raises(UserError, match="comes with the program"):
        save_model(user_folder(), network(), make_card())


def test_a_broken_card_does_not_hide_the_others(make_card: MakeCard) -> None:
    save_model(user_folder(), network(), make_card(name="mine"))
    (user_folder() / "torn.json").write_text('{"format": 1, "name":', encoding="utf-8")
    assert "mine" in [model.card.name for model in list_models()]
    (sentence,) = broken_models()
    assert "torn.json is no model card" in sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format"),
        ({"task": "cooking"}, "task"),
        ({"run_this": "os.system"}, "run_this"),
        ({"name": "../../etc"}, "name"),
        ({"name": "other"}, "is that of a model named 'other'"),
        ({"sha256": "12"}, "sha256"),
        ({"sha256": ""}, "names no checksum"),
        ({"outputs": []}, "outputs"),
        ({"figures": {"F1": {"no": "number"}}}, "figures"),
        ({"architecture": {"name": "os:system", "options": {}}}, "architecture.name"),
    ],
)
def test_cards_with_senseless_fields_are_refused(saved: Model, change: dict[str, object], words: str) -> None:
    fields = json.loads(saved.card_path.read_text("utf-8"))
    saved.card_path.write_text(json.dumps({**fields, **change}), encoding="utf-8")
    refused(saved.card_path, words)


def test_files_that_are_no_cards_are_refused(tmp_path: Path, saved: Model) -> None:
    path = saved.card_path
    for content, words in (
        (b"", "no model card"),
        (b"[1, 2]", "no model card"),
        (b"\xff\xfe{}", "no model card"),
        (b"[" * 200_000, "no model card"),
        (b" " * (1 << 20) + b"{}", "larger than a model card"),
    ):
        path.write_bytes(content)
        refused(path, words)
    path.unlink()
    refused(saved.weights_path, "cannot be read")
    os.mkfifo(path)
    with pytest.raises(FileError, match="no ordinary file"):
        read_card(path)


def refused(path: Path, words: str) -> None:
    """Loading ends with one sentence for the user that names the file and says what is wrong."""
    with pytest.raises(UserError) as caught:
        load_model(path)
    sentence = str(caught.value)
    assert words in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


def rewrite(model: Model, content: bytes, *, honest: bool = True) -> None:
    """Put other bytes in place of the weights; an honest card names their checksum."""
    model.weights_path.write_bytes(content)
    if honest:
        card = model.card.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
        model.card_path.write_text(card.model_dump_json(), encoding="utf-8")


def parts(model: Model) -> tuple[dict[str, dict[str, object]], bytes]:
    content = model.weights_path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_a_wrong_checksum_is_refused(saved: Model) -> None:
    content = bytearray(saved.weights_path.read_bytes())
    content[-1] ^= 1
    rewrite(saved, bytes(content), honest=False)
    refused(saved.card_path, "checksums differ")


def test_missing_truncated_foreign_and_oversized_files_are_refused(saved: Model) -> None:
    content = saved.weights_path.read_bytes()
    for cut in (0, 5, 8, 40, len(content) - 1):
        rewrite(saved, content[:cut])
        refused(saved.card_path, str(saved.weights_path))
    for foreign in (b"PK\x03\x04" + bytes(500), b"\x80\x04" + bytes(500), content + b"more"):
        rewrite(saved, foreign)
        refused(saved.card_path, "safetensors file")
    with saved.weights_path.open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    refused(saved.card_path, "larger than a weights file")
    saved.weights_path.unlink()
    refused(saved.card_path, "missing")


def _shape(header: dict) -> None:
    header["last.0.weight"]["shape"] = [1, 2, 2, 1]


def _renamed(header: dict) -> None:
    header["last.9.weight"] = header.pop("last.0.weight")


def _absent(header: dict) -> None:
    header["__metadata__"] = header.pop("last.0.weight")


def _type(header: dict) -> None:
    header["last.0.weight"]["dtype"] = "BOOL"


def _unfit(header: dict) -> None:
    header["last.0.bias"].update(dtype="F16", shape=[2])


def _whole(header: dict) -> None:
    header["down.0.1.num_batches_tracked"].update(dtype="F32", shape=[2])


def _overlap(header: dict) -> None:
    header["last.0.bias"]["data_offsets"] = header["last.2.bias"]["data_offsets"]


def _beyond(header: dict) -> None:
    header["last.0.weight"].update(shape=[1 << 62], data_offsets=[0, 1 << 63])


def _negative(header: dict) -> None:
    header["last.0.weight"]["data_offsets"] = [-8, 0]


def _float(header: dict) -> None:
    header["last.0.weight"]["shape"] = [1.0, 4, 1, 1]


def _extra(header: dict) -> None:
    header["last.0.weight"]["pickle"] = "cos\nsystem"


def _meta(header: dict) -> None:
    header["__metadata__"] = "text"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_shape, "'last.0.weight' is [1, 2, 2, 1] instead of [1, 4, 1, 1]"),
        (_renamed, "holds 'last.9.weight'"),
        (_absent, "overlap or leave gaps"),
        (_type, "type 'BOOL'"),
        (_unfit, "is [2] instead of [1]"),
        (_whole, "is [2] instead of []"),
        (_overlap, "overlap or leave gaps"),
        (_beyond, "shape or place"),
        (_negative, "shape or place"),
        (_float, "shape or place"),
        (_extra, "none of a tensor"),
        (_meta, "metadata"),
    ],
)
def test_headers_that_lie_are_refused(saved: Model, change: Callable[[dict], None], words: str) -> None:
    header, data = parts(saved)
    change(header)
    rewrite(saved, joined(header, data))
    refused(saved.card_path, words)


def test_headers_that_are_none_are_refused(saved: Model) -> None:
    _, data = parts(saved)
    twice = b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'
    for header in (b"[]", b"{", b"\xff\xff", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}", twice, b"{}"):
        rewrite(saved, joined(header, data))
        refused(saved.card_path, "no safetensors file")
    rewrite(saved, struct.pack("<Q", 1 << 40) + data)
    refused(saved.card_path, "no safetensors file")
    rewrite(saved, joined(b" " * ((1 << 20) + 1), data))
    refused(saved.card_path, "no safetensors file")


def test_whole_numbers_where_fractions_belong_are_refused(saved: Model) -> None:
    tensors = safetensors.load(saved.weights_path.read_bytes())
    tensors["last.0.bias"] = torch.ones(1, dtype=torch.int64)
    rewrite(saved, safetensors.save(tensors))
    refused(saved.card_path, "is of the type I64")


def test_weights_that_are_not_finite_are_refused(saved: Model) -> None:
    tensors = safetensors.load(saved.weights_path.read_bytes())
    tensors["last.0.bias"] = torch.tensor([float("inf")])
    rewrite(saved, safetensors.save(tensors))
    refused(saved.card_path, "'last.0.bias' hold values that are no numbers")


def test_mutated_files_load_or_are_refused(saved: Model, rng: np.random.Generator) -> None:
    """A thousand files with some bytes changed, cut or repeated, their checksums right: never another exception."""
    original, sentences = saved.weights_path.read_bytes(), []
    (length,) = struct.unpack("<Q", original[:8])
    expected = network_state("atomsegnet-unet", {"widths": list(WIDTHS)})
    from atomseg_app.networks.weights import read_weights

    for _ in range(1000):
        content = bytearray(original)
        for place in rng.integers(0, 8 + length, rng.integers(1, 4)):
            content[place] = rng.choice([rng.integers(0, 256), ord(rng.choice(list('{}[]",:0123456789')))])
        if rng.random() < 0.2:
            start, end = sorted(rng.integers(0, len(content), 2))
            content[start:end] = b"" if rng.random() < 0.5 else content[start:end] * 2
        saved.weights_path.write_bytes(content)
        try:
            tensors = read_weights(saved.weights_path, expected, hashlib.sha256(content).hexdigest())
        except UserError as problem:
            sentences.append(str(problem))
        else:
            assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in expected.items()}
    assert len(sentences) > 900
    assert not any("\n" in sentence for sentence in sentences)


def test_a_foreign_file_takes_no_memory(tmp_path: Path) -> None:
    """A header that promises 60 MB for a network that has 2 kB is refused before the file is read."""
    path = tmp_path / "x.safetensors"
    text = json.dumps({"a": {"dtype": "F32", "shape": [15_000_000], "data_offsets": [0, 60_000_000]}}).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + 60_000_000)
    code = (
        "import sys\nfrom pathlib import Path\nfrom atomseg_app.networks.weights import read_weights\n"
        "from atomseg_app.benchmarks.peak_memory import Peak\n"
        "from atomseg_app.networks.architectures import network_state\nfrom atomseg_app.errors import FileError\n"
        "state = network_state('atomsegnet-unet', {'widths': [4, 4]})\n"
        "peak = Peak()\n"
        "try:\n    read_weights(Path(sys.argv[1]), state, '')\n"
        "except FileError as problem:\n    print(problem)\n"
        "print(peak.bytes_above_start())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    sentence, grown_bytes = done.stdout.splitlines()
    assert "does not fit the network" in sentence
    assert int(grown_bytes) < 10_000_000


@pytest.mark.parametrize(
    "options",
    [
        {"widths": [100_000, 8, 8]},
        {"widths": [4096] * 9},
        {"widths": [8] * 1000},
        {"widths": 1e6},
        {"widths": []},
        {"widths": [-1, 2]},
        {"widths": "abc"},
        {"widths": None},
        {"widths": [[8]]},
        {"widths": {"a": 1}},
        {"command": "true"},
        {f"o{n}": 1 for n in range(100)},
    ],
)
def test_options_that_make_no_network_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UserError):
        make_network("atomsegnet-unet", options)


def test_only_the_program_s_own_networks_are_made() -> None:
    with pytest.raises(UserError, match="knows no network 'os:system'"):
        make_network("os:system", {})
    for name in ARCHITECTURES:
        assert network_state(name, {})


def test_cards_are_listed_without_torch(make_card: MakeCard) -> None:
    save_model(user_folder(), network(), make_card(name="mine"))
    code = (
        "import sys\nfrom atomseg_app.networks.card import find_model, list_models, broken_models\n"
        "assert [m.card.name for m in list_models() if m.origin == 'yours'] == ['mine'] and not broken_models()\n"
        "assert find_model('mine').card.training.steps == 50\n"
        "loaded = {'torch', 'scipy', 'h5py', 'PySide6', 'safetensors'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_models_that_come_with_the_program_are_sound() -> None:
    assert not broken_models()
    for model in list_models():
        assert model.origin == "bundled"
        load_model(model)
        assert model.weights_path.stat().st_size <= store.LARGEST_BUNDLED
    strays = {path.suffix for path in bundled_folder().glob("*")} - {".json", ".safetensors"}
    assert not strays
