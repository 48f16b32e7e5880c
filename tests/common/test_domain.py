"""Stamps against what a network was trained on: refused, resampled, or warned of."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import erf

from lens_common.cli import run_command_line
from lens_common.data.domain import describe_stamps, resample_stamps
from lens_common.data.stamps import load_stamps
from lens_common.learning.training import TrainingSettings
from lens_common.runs import read_domain

SIDE, NOISE = 9, 3.5
SCALE = "PIXSCALE= {}"
ZERO_POINT = "MAGZERO = {}"


class Watched:
    """A network that keeps the stamps that it is shown."""

    seen = None

    def set_weights(self, weights):
        pass

    def predict(self, stamps):
        Watched.seen = np.array(stamps)
        return np.full(len(stamps), 0.25)


def must_not_be_built(model, shape, seed):
    raise AssertionError("the network was built")


@pytest.fixture
def run(tmp_path):
    """Write a run directory of a network for stamps of 9 x 9 pixels of 0.2 arcsec, or as told."""
    folder = tmp_path / "run"
    folder.mkdir()

    def write(scaling="raw", paths=None, **data):
        settings = asdict(TrainingSettings(epochs=1, batch_size=2, learning_rate=1.0))
        data = {"pixel_scale_arcsec": 0.2, "zero_point_mag": 30.0, "noise": [3.0, 3.5, 4.0], **data}
        config = {"format": 1, "model": "cnn", "seed": 1, "settings": settings, "scaling": {"name": scaling}}
        config.update(shape={"n_bands": 1, "side": SIDE}, data={"hash": "of an older run"} if paths else data)
        (folder / "config.json").write_text(json.dumps(config))
        lines = ["id,path,fold,is_lens,digest", *(f"id,{path},,," for path in paths or ())]
        (folder / "stamps.csv").write_text("\n".join(lines) + "\n")
        np.savez(folder / "weights.npz", w=np.zeros(1))
        return folder

    return write


@pytest.fixture
def stamps(tmp_path, cache, write_stamp):
    """Write two stamps of noise, or of given pixels, lens and non-lens; the folder, and their pixels."""

    def write(shape=(SIDE, SIDE), cards=(), noise=NOISE, pixels=None):
        pixels = np.random.RandomState(1).normal(0, noise, (2, *shape)).astype("f4") if pixels is None else pixels
        for path, stamp in zip(("lensed_outputs/0/a.fits", "unlensed_outputs/0/b.fits"), pixels):
            write_stamp(tmp_path / "data" / path, stamp, list(cards))
        return tmp_path / "data", pixels

    return write


def command(folder, run, tmp_path, *flags, verb="score", build=lambda *_: Watched()):
    """Exit status of the command line, with a network of no framework."""
    backend = SimpleNamespace(
        NAME="test",
        ENGINE="none",
        add_options=lambda *_, **__: None,
        configure=lambda _: None,
        describe=dict,
        mode=lambda: "faithful",
        build_network=build,
    )
    arguments = {
        "score": ["score", folder, "--run", run, "--out", tmp_path / "scores.csv"],
        "evaluate": ["evaluate", run, "--data", folder],
    }
    return run_command_line(backend, [*map(str, arguments[verb]), *flags])


def refusal(capsys, *arguments, **options):
    """Only sentence of a command that must end before the network is built."""
    assert command(*arguments, **options, build=must_not_be_built) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    return sentence


# What is refused.


@pytest.mark.parametrize("verb", ["score", "evaluate"])
def test_another_size_is_refused_with_both_sizes(verb, run, stamps, tmp_path, capsys):
    folder, _ = stamps((11, 11), [SCALE.format(0.2)])
    sentence = refusal(capsys, folder, run(), tmp_path, verb=verb)
    assert "are 11 x 11 pixels of 0.2 arcsec, those that the network was trained on 9 x 9 pixels" in sentence
    assert "--resample" in sentence


@pytest.mark.parametrize("verb", ["score", "evaluate"])
def test_another_pixel_scale_is_refused_with_both_scales(verb, run, stamps, tmp_path, capsys):
    folder, _ = stamps(cards=[SCALE.format(0.263)])
    sentence = refusal(capsys, folder, run(), tmp_path, verb=verb)
    assert "9 x 9 pixels of 0.263 arcsec" in sentence and "9 x 9 pixels of 0.2 arcsec" in sentence


def test_another_number_of_bands_is_refused_with_both_numbers_though_resampling_is_asked(run, stamps, tmp_path, capsys):
    folder, _ = stamps((3, SIDE, SIDE))
    sentence = refusal(capsys, folder, run(), tmp_path, "--resample")
    assert "have 3 band(s), those that the network was trained on 1" in sentence


@pytest.mark.parametrize(
    ("side", "cards", "found", "wanted"),
    [
        (11, [SCALE.format(0.1)], "1.1 arcsec", "1.8"),
        (7, [SCALE.format(0.2)], "1.4 arcsec", "1.8"),
        (8, [], "8 pixels", "9"),
    ],
)
def test_a_smaller_field_is_refused_with_both_widths(side, cards, found, wanted, run, stamps, tmp_path, capsys):
    folder, _ = stamps((side, side), cards)
    sentence = refusal(capsys, folder, run(), tmp_path, "--resample")
    assert f"are {found} wide, the network looks at {wanted}; cut larger ones" in sentence


# What is taken as it is.


@pytest.mark.parametrize("cards", [[], [SCALE.format(0.2)], [SCALE.format(0.2015)]])
@pytest.mark.parametrize("flags", [[], ["--resample"]])
def test_an_equal_scale_is_accepted_in_silence_an_unknown_one_is_said_and_nothing_is_changed(
    cards, flags, run, stamps, tmp_path, capsys
):
    folder, pixels = stamps(cards=cards)
    assert command(folder, run(), tmp_path, *flags) == 0
    said = capsys.readouterr().err
    assert (
        said == "" if cards else said.startswith(f"the pixel scale of {folder} is unknown, and taken to be the network")
    )
    assert "PIXSCALE" in said or cards
    assert np.array_equal(Watched.seen[:, 0], pixels)
    assert "resampled" not in json.loads((tmp_path / "scores.json").read_text())


# What is resampled.


@pytest.mark.parametrize("verb", ["score", "evaluate"])
def test_resampling_from_half_the_scale_sums_four_pixels(verb, run, stamps, tmp_path, capsys):
    folder, pixels = stamps((20, 20), [SCALE.format(0.1)])
    assert command(folder, run(), tmp_path, "--resample", verb=verb) == 0
    # 9 pixels of 0.2 arcsec are the middle 18 of 20 pixels of 0.1 arcsec.
    expected = pixels[:, 1:19, 1:19].reshape(2, 9, 2, 9, 2).sum(axis=(2, 4))
    np.testing.assert_allclose(Watched.seen[:, 0], expected, atol=1e-4)
    said = "20 x 20 pixels of 0.1 arcsec resampled to 9 x 9 pixels of 0.2 arcsec"
    assert f"2 stamps of {said}" in capsys.readouterr().err
    written = tmp_path / "scores.json" if verb == "score" else next((tmp_path / "run").glob("metrics-*.json"))
    assert json.loads(written.read_text())["resampled"] == said


@pytest.mark.parametrize("cards", [[], [SCALE.format(0.2)]])
@pytest.mark.parametrize(("shape", "top", "left"), [((11, 11), 1, 1), ((12, 12), 1, 1), ((9, 13), 0, 2)])
def test_the_middle_of_larger_stamps_of_the_same_or_an_unknown_scale_is_cut_out(
    shape, top, left, cards, run, stamps, tmp_path
):
    folder, pixels = stamps(shape, cards)
    assert command(folder, run(), tmp_path, "--resample") == 0
    assert np.array_equal(Watched.seen[:, 0], pixels[:, top : top + 9, left : left + 9])


def test_the_data_hash_of_resampled_stamps_is_that_of_the_files(run, stamps, tmp_path):
    folder, _ = stamps((11, 11))
    command(folder, run(), tmp_path, "--resample")
    about = json.loads((tmp_path / "scores.json").read_text())
    assert about["data_hash"] == load_stamps(folder).data_hash


@pytest.mark.parametrize(("length", "side"), [(20, 30), (45, 31), (45, 7), (8, 8)])
def test_resampling_the_whole_field_keeps_every_count(length, side):
    stamps = np.random.RandomState(0).normal(10, 3, (2, 2, length, length))
    resampled = resample_stamps(stamps, side, length / side)
    np.testing.assert_allclose(resampled.sum(axis=(2, 3)), stamps.sum(axis=(2, 3)), rtol=1e-6)


@pytest.mark.parametrize("step", [0.6, 1.3, 0.18 / 0.263])
def test_a_sky_of_constant_slope_keeps_it_with_counts_in_proportion_to_the_area(step):
    rows, columns = np.mgrid[:30, :40]
    resampled = resample_stamps((5 + 0.5 * rows + 0.2 * columns)[None, None], 15, step)
    offsets = (np.arange(15) - 7) * step
    expected = step**2 * (5 + 0.5 * (14.5 + offsets[:, None]) + 0.2 * (19.5 + offsets))
    np.testing.assert_allclose(resampled[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("step", [0.18 / 0.263, 1.8])
def test_a_gaussian_is_resampled_to_its_integral_over_the_new_pixels(step):
    def gaussian(side, pixel, sigma=2.0, offset=0.7):
        edges = (np.arange(side + 1) - side / 2) * pixel
        shares = [np.diff(0.5 * erf((edges - centre) / sigma / 2**0.5)) for centre in (offset, -offset)]
        return 1000 * np.outer(*shares)

    resampled = resample_stamps(gaussian(41, 1.0)[None, None], 21, step)[0, 0]
    expected = gaussian(21, step)
    assert np.abs(resampled - expected).max() < 0.01 * expected.max()


# Units.


@pytest.mark.parametrize("noise", [0.0035, 10.0, 0.0])
def test_noise_far_from_that_of_the_training_is_warned_of_with_both_values(noise, run, stamps, tmp_path, capsys):
    folder, pixels = stamps(cards=[SCALE.format(0.2)], noise=noise)
    assert command(folder, run(), tmp_path) == 0
    (sentence,) = capsys.readouterr().err.splitlines()
    deviations = np.abs(pixels - np.median(pixels, axis=(1, 2), keepdims=True))
    median = np.median(1.4826 * np.median(deviations, axis=(1, 2)))
    assert f"have a noise of {median:.3g} in the median, those that the network was trained on 3 to 4" in sentence
    assert "scale them to counts at zero-point 30 in one exposure" in sentence


@pytest.mark.parametrize("noise", [1.8, 9.0])  # measured 1.57 and 7.83: 81 pixels are few
def test_noise_within_a_factor_of_two_is_not_warned_of(noise, run, stamps, tmp_path, capsys):
    folder, _ = stamps(cards=[SCALE.format(0.2)], noise=noise)
    assert command(folder, run(), tmp_path) == 0
    assert capsys.readouterr().err == ""


def test_another_zero_point_is_warned_of_with_both_values_and_the_factor(run, stamps, tmp_path, capsys):
    folder, _ = stamps(cards=[SCALE.format(0.2), ZERO_POINT.format(22.5)])
    assert command(folder, run(), tmp_path) == 0
    (sentence,) = capsys.readouterr().err.splitlines()
    # 7.5 magnitudes are a factor of 1000: a source of one count at 22.5 has a thousand at 30.
    assert "say zero-point 22.5, the network was trained at 30: multiply the stamps by 1000;" in sentence


@pytest.mark.parametrize(
    ("scaling", "words"),
    [("raw", "raw, is sensitive to a constant factor"), ("sigma", "sigma, is insensitive to a constant factor")],
)
def test_a_warning_says_whether_the_scaling_takes_a_factor_off(scaling, words, run, stamps, tmp_path, capsys):
    folder, _ = stamps(cards=[ZERO_POINT.format(25)])
    command(folder, run(scaling), tmp_path)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("zero_point", [None, 30.005])
def test_an_unknown_or_equal_zero_point_is_not_warned_of(zero_point, run, stamps, tmp_path, capsys):
    folder, _ = stamps(cards=[SCALE.format(0.2), ZERO_POINT.format(30)])
    assert command(folder, run(zero_point_mag=zero_point), tmp_path) == 0
    assert capsys.readouterr().err == ""


# What a run says of its training.


def test_a_training_notes_scale_zero_point_and_the_noise_of_what_it_learned_from(run, stamps):
    folder, pixels = stamps(
        (60, 60),
        [SCALE.format(0.25), ZERO_POINT.format(27)],
        pixels=np.stack([np.random.RandomState(2).normal(0, sigma, (60, 60)) for sigma in (2, 50)]).astype("f4"),
    )
    found = describe_stamps(load_stamps(folder), np.array([0]))
    assert (found["pixel_scale_arcsec"], found["zero_point_mag"]) == (0.25, 27)
    assert found["noise"] == pytest.approx([2, 2, 2], rel=0.1)
    domain = read_domain(run(**json.loads(json.dumps(found))))
    assert (domain.pixel_scale_arcsec, domain.zero_point_mag, list(domain.noise)) == (0.25, 27, found["noise"])


def test_what_a_training_does_not_know_is_unknown_to_those_who_read_it(run, stamps):
    found = describe_stamps(load_stamps(stamps()[0]), np.arange(2))
    assert (found["pixel_scale_arcsec"], found["zero_point_mag"]) == (None, None)
    domain = read_domain(run(**found))
    assert np.isnan([domain.pixel_scale_arcsec, domain.zero_point_mag]).all()


@pytest.mark.parametrize(
    ("path", "scale"), [("lensed_outputs/0/lensed_0_200_0.8_30_0.4_2_imgs.fits.gz", 0.18), ("des/cutout.fits", np.nan)]
)
def test_an_older_run_has_the_scale_of_the_2018_layout_if_its_stamps_are_named_so(path, scale, run):
    assert read_domain(run(paths=[path])).pixel_scale_arcsec == pytest.approx(scale, nan_ok=True)


def test_an_older_run_is_held_to_the_noise_of_the_mocks(run):
    low, middle, high = read_domain(run(paths=["a.fits"])).noise
    # Single LSST exposures: LensPop predicts 3.55 counts; 2.5 % of the PICS mocks lie beyond 9.
    assert 3 < low < middle and middle == pytest.approx(3.55, rel=0.05) and 9 < high < 15
