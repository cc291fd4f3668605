"""Loss, head and networks against closed forms and symmetries."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evaluation.scores import bhattacharyya_loss as numpy_loss
from evaluation.scores import overlap
from lagrangian.binning import smooth_pdf
from learning import loss as loss_module
from learning.amplitudes import put_amplitudes
from learning.averaged_training import AveragedTraining
from learning.config import PRESETS
from learning.ensemble import Ensemble
from learning.inputs import InputSpec, Normalisation
from learning.lightning_module import CatchmentTraining, learning_rate
from learning.loss import (
    RAW_WEIGHT,
    SMOOTHED_WEIGHT,
    HeatSmoothing,
    bhattacharyya_loss,
    raised_loss,
    root,
    target_amplitude,
    training_loss,
)
from learning.loss_kernel import compiled_losses, exp, taps
from learning.network import Architecture, CatchmentNetwork, _raise, mirrored, pdf_head
from learning.samples import Samples
from learning.training import Batches, EpochOrder, experiments_of
from learning.unet import PaperUNet, particle_source

SPEC = InputSpec.of("sst-ssh")
SMALL = {
    "paper": Architecture("paper", width=4),
    "residual": Architecture("residual", width=8, levels=3, coarsen=4, kernel=3),
}


def gaussian(centre, width, n=100):
    x = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
    pdf = torch.exp(-((x - centre) ** 2 + x[:, None] ** 2) / (2 * width**2))
    return pdf / pdf.sum()


def random_pdfs(*shape):
    generator = torch.Generator().manual_seed(4)
    pdf = torch.rand((*shape, 100, 100), generator=generator) ** 8
    return pdf / pdf.sum(dim=(-2, -1), keepdim=True)


def test_the_inputs_are_folded_into_channels_that_lie_last_in_memory():
    """A square of cells becomes the channels of one, channel by channel; then the particle source."""
    architecture = SMALL["residual"]
    body = CatchmentNetwork(architecture, SPEC, 1, 1).eval().body
    body.centred.zero_()
    inputs = torch.randn(2, SPEC.n_channels, 38, 41, generator=torch.Generator().manual_seed(7))
    folded = body.folded(inputs)
    assert folded.shape == (2, 16 * SPEC.n_channels + 1, 10, 11)
    padded = torch.nn.functional.pad(inputs, (0, 3, 0, 2))
    assert torch.equal(folded[:, :-1], torch.nn.functional.pixel_unshuffle(padded, 4))
    assert torch.equal(folded[:, -1], 4.0 * particle_source(1, 10, 11).expand(2, -1, -1))
    for maps in (folded, body.features(folded)):
        assert maps.is_contiguous(memory_format=torch.channels_last)
    # by PyTorch alone, where gradients of the inputs are asked for or the numbers are of another kind: the same
    body.centred.fill_(1.0)
    asked = inputs.clone().requires_grad_()
    assert torch.equal(body.folded(asked).detach(), body.folded(inputs))
    (gradient,) = torch.autograd.grad(body.folded(asked)[:, :-1].square().sum(), asked)
    expected = 2 * (inputs - inputs.mean(dim=(-2, -1), keepdim=True))
    np.testing.assert_allclose(gradient, expected, atol=1e-4)
    np.testing.assert_allclose(body.folded(inputs.double()), body.folded(inputs), atol=1e-6)


def written_out(logits, raw, smoothed):
    """The training loss from the head's PDFs, for automatic differentiation."""
    losses = [weight * bhattacharyya_loss(pdf, pdf_head(logits)) for weight, pdf in ((0.2, raw), (0.8, smoothed))]
    return (losses[0] + losses[1]).mean()


# -- loss ----------------------------------------------------------------------------------------------------------------
def test_two_gaussians_have_their_known_loss():
    for distance, one, two in ((0.0, 6.0, 6.0), (9.0, 6.0, 6.0), (4.0, 5.0, 8.0)):
        p, q = gaussian(-distance / 2, one), gaussian(distance / 2, two)
        mean = (one**2 + two**2) / 2
        expected = 1 - one * two / mean * np.exp(-(distance**2) / (8 * mean))
        assert float(bhattacharyya_loss(p, q)) == pytest.approx(expected, abs=1e-6)


def test_the_training_loss_is_the_weighted_sum_of_both_losses():
    raw = random_pdfs(3, 2, 4)
    raw = torch.where(raw > 1e-4, raw, 0.0)  # bins without particles
    smoothed = HeatSmoothing()(raw)
    logits = 5 * torch.randn(raw.shape, generator=torch.Generator().manual_seed(1))
    prediction = pdf_head(logits)
    expected = (
        SMOOTHED_WEIGHT * bhattacharyya_loss(smoothed, prediction) + RAW_WEIGHT * bhattacharyya_loss(raw, prediction)
    ).mean()
    amplitude = target_amplitude(raw, smoothed)
    given = raw.clone(), smoothed.clone(), amplitude.clone(), logits.clone()
    assert float(training_loss(logits, amplitude)) == pytest.approx(float(expected), abs=1e-6)
    # what is computed in place is the loss's own
    assert all(map(torch.equal, (raw, smoothed, amplitude, logits), given))
    np.testing.assert_allclose(
        bhattacharyya_loss(smoothed, prediction), numpy_loss(smoothed.numpy(), prediction.numpy()), atol=1e-5
    )


def test_the_gradient_of_the_loss_is_the_closed_form():
    """d BL / d logit_i = (q_i BC - sqrt(p_i q_i)) / 2 for a softmax q."""
    p = gaussian(3.0, 5.0)[None, None, None]
    logits = torch.randn(p.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    loss = training_loss(logits, target_amplitude(p, p))
    loss.backward()
    q = pdf_head(logits.detach())
    coefficient = (p * q).sqrt().sum()
    expected = 0.5 * (q * coefficient - (p * q).sqrt())
    np.testing.assert_allclose(logits.grad, expected, atol=1e-12)
    small = torch.randn((1, 1, 1, 5, 6), dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    target = torch.rand((1, 1, 1, 5, 6), dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    assert torch.autograd.gradcheck(lambda z: training_loss(z, target_amplitude(target, target)), (small,))


def test_a_loss_gives_its_gradient_in_proportion():
    """The gradient is made with the loss; several samples, speeds and levels, against the sum of products written out."""
    logits = torch.randn(2, 2, 3, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(8)).requires_grad_()
    raw, smoothed = (torch.rand(logits.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in (9, 10))
    (expected,) = torch.autograd.grad(3.0 * written_out(logits, raw, smoothed), logits)
    (3.0 * training_loss(logits, target_amplitude(raw, smoothed))).backward()
    np.testing.assert_allclose(logits.grad, expected, rtol=1e-9, atol=1e-15)


def test_the_loss_of_raised_maps_is_that_of_their_logits():
    """Value and gradients of maps and prior, by automatic differentiation of the whole."""
    generator = torch.Generator().manual_seed(11)

    def drawn(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()

    maps, prior, rows, columns = drawn(3, 4, 5, 6), drawn(4, 9, 8), drawn(9, 5).detach(), drawn(8, 6).detach()
    raw, smoothed = (drawn(3, 4, 9, 8).detach().abs() for _ in range(2))
    plain = written_out(rows @ maps @ columns.T + prior, raw, smoothed)
    expected = torch.autograd.grad(2.0 * plain, (maps, prior))
    loss = raised_loss(maps, rows, columns, prior, target_amplitude(raw, smoothed))
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-12)
    for found, gradient in zip(torch.autograd.grad(2.0 * loss, (maps, prior)), expected, strict=True):
        np.testing.assert_allclose(found, gradient, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("cells", "points", "compiled"),
    [((25, 25), (100, 100), 1), ((10, 13), (38, 51), 1), ((4, 5), (15, 20), 1), ((3, 7), (12, 25), 0)],
)
def test_the_compiled_loss_is_that_of_the_written_formula(cells, points, compiled, monkeypatch):
    """In single precision, of maps raised by cubic interpolation; four cells or more are compiled, fewer PyTorch's own."""
    calls = []
    monkeypatch.setattr(loss_module, "compiled_losses", lambda *given: calls.append(1) or compiled_losses(*given))
    generator = torch.Generator().manual_seed(12)
    maps = torch.randn(3, 4, *cells, generator=generator).requires_grad_()
    prior = (4 * torch.randn(4, *points, generator=generator)).requires_grad_()
    rows, columns = (_raise(n, 4 * n)[:wanted] for n, wanted in zip(cells, points, strict=True))
    raw, smoothed = (torch.rand(3, 4, *points, generator=generator) ** power for power in (30, 8))
    raw, smoothed = (pdf / pdf.sum(dim=(-2, -1), keepdim=True) for pdf in (raw, smoothed))
    plain = written_out((rows @ maps @ columns.T + prior).double(), raw.double(), smoothed.double())
    expected = torch.autograd.grad(2.0 * plain, (maps, prior))
    loss = raised_loss(maps, rows, columns, prior, target_amplitude(raw, smoothed))
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), abs=3e-7) and len(calls) == compiled
    for found, gradient in zip(torch.autograd.grad(2.0 * loss, (maps, prior)), expected, strict=True):
        np.testing.assert_allclose(found, gradient, rtol=2e-4, atol=2e-6 * float(gradient.abs().max()))


def test_a_logit_far_above_all_others_is_the_whole_of_its_pdf():
    """Beyond what an exponential in single precision holds."""
    maps, prior, rows = torch.zeros(2, 1, 25, 25).requires_grad_(), torch.zeros(1, 100, 100), _raise(25, 100)
    prior[0, 61, 7] = 600.0
    amplitude = target_amplitude(random_pdfs(2, 1), random_pdfs(2, 1))
    loss = raised_loss(maps, rows, rows, prior, amplitude)
    assert float(loss.detach()) == pytest.approx(1 - float(amplitude[:, 0, 61, 7].mean()), abs=1e-6)
    (gradient,) = torch.autograd.grad(loss, maps)
    assert torch.isfinite(gradient).all() and float(gradient.abs().max()) < 1e-6


def test_a_logit_that_is_not_a_number_makes_the_compiled_loss_none():
    maps, prior = torch.zeros(2, 3, 25, 25), torch.zeros(3, 100, 100)
    maps[1, 2, 7, 8] = torch.nan
    rows = _raise(25, 100)
    amplitude = target_amplitude(random_pdfs(2, 3), random_pdfs(2, 3))
    assert torch.isnan(raised_loss(maps, rows, rows, prior, amplitude))


def test_a_matrix_whose_rows_span_more_than_four_columns_is_refused():
    matrix = np.eye(6, 8, dtype=np.float32)
    matrix[2, 5] = 0.5
    first, weights = taps(matrix)
    assert first.tolist() == [0, 1, 2, 3, 4, 4] and weights[2].tolist() == [1, 0, 0, 0.5] and weights[5].tolist() == [0, 1, 0, 0]
    matrix[2, 6] = 0.5
    with pytest.raises(ValueError, match="more than 4 columns"):
        taps(matrix)


def test_the_kernel_s_exponential_is_exact_to_single_precision():
    x = -np.geomspace(1e-9, 80, 4001).astype(np.float32)
    found = np.array([exp(value) for value in (*x, np.float32(0), np.float32(-200), np.float32(np.nan))])
    np.testing.assert_allclose(found[:-3], np.exp(x.astype(np.float64)), rtol=3e-7)
    assert found[-3] == 1 and 0 < found[-2] < 2e-38 and np.isnan(found[-1])


@pytest.mark.parametrize("mixed", [False, True])
def test_validation_gives_the_loss_and_the_scores_at_its_level(mixed):
    """In mixed precision too the scores are of single precision: only the network rounds its logits."""
    network = CatchmentNetwork(SMALL["residual"], SPEC, 2, 3)
    training = CatchmentTraining(network, PRESETS["quick"], 1)
    logits, raw = 3 * torch.randn(2, 3, 100, 100, generator=torch.Generator().manual_seed(5)), random_pdfs(2, 3)
    smoothed = HeatSmoothing()(raw)
    batch = logits, target_amplitude(raw, smoothed), smoothed[:, 1].sqrt()
    training.network = torch.nn.Identity()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        training.validation_step([one[None] for one in batch], 0)
    loss, bl, f = training._scores[0][0].numpy().T
    prediction = pdf_head(logits)
    each = 0.8 * numpy_loss(smoothed.numpy(), prediction.numpy()) + 0.2 * numpy_loss(raw.numpy(), prediction.numpy())
    np.testing.assert_allclose(loss, each.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(bl, numpy_loss(smoothed[:, 1].numpy(), prediction[:, 1].numpy()), atol=1e-5)
    np.testing.assert_allclose(f, overlap(smoothed[:, 1].numpy(), prediction[:, 1].numpy()), atol=1e-5)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("size", [(100, 100), (38, 51)])
def test_a_network_s_loss_is_that_of_its_logits(kind, size):
    """Also of a window that is no multiple of the squares, and of gradients of every weight."""
    torch.manual_seed(6)
    network = CatchmentNetwork(SMALL[kind], SPEC, 1, 3, size)
    if kind == "residual":  # whose last weights are 0 before training
        torch.nn.init.normal_(network.body.out.weight)
    inputs, raw = torch.randn(4, 10, *size), torch.rand(4, 1, 3, *size) ** 8
    raw /= raw.sum(dim=(-2, -1), keepdim=True)
    amplitude = target_amplitude(raw, HeatSmoothing(*size)(raw))
    losses = [network.loss(inputs, amplitude), training_loss(network(inputs), amplitude)]
    gradients = [torch.autograd.grad(loss, list(network.parameters())) for loss in losses]
    assert float(losses[0].detach()) == pytest.approx(float(losses[1].detach()), abs=1e-6)
    largest = max(float(plain.norm()) for plain in gradients[1])
    for ours, plain in zip(*gradients, strict=True):
        assert float((ours - plain).norm()) <= 1e-3 * float(plain.norm()) + 1e-5 * largest


def test_roots_of_zeros_are_nothing_and_all_others_exact():
    values = torch.tensor([0.0, 1e-30, 1e-12, 0.25, 1.0])
    assert torch.equal(root(values)[1:], values.sqrt()[1:]) and float(root(values)[0]) < 2e-19
    assert float(values[0]) == 0  # the caller's own values stay


def test_the_gradient_is_finite_where_no_particle_came():
    p = torch.zeros(1, 1, 1, 100, 100)
    p[..., 50, 50] = 1
    logits = torch.zeros(p.shape).requires_grad_()
    training_loss(logits, target_amplitude(p, HeatSmoothing()(p))).backward()
    assert torch.isfinite(logits.grad).all() and float(logits.grad.abs().max()) > 0


def test_smoothing_of_tensors_is_that_of_arrays():
    pdf = random_pdfs(2, 3)
    np.testing.assert_allclose(HeatSmoothing()(pdf), smooth_pdf(pdf.numpy().astype(np.float64)), atol=3e-8)
    np.testing.assert_allclose(HeatSmoothing()(pdf).sum(dim=(-2, -1)), 1, rtol=1e-5)


@pytest.mark.parametrize("size", [(100, 100), (30, 41), (7, 12)])
def test_amplitudes_from_bins_are_those_of_smoothed_pdfs(size):
    """Bins at all edges among them; of an ocean of fewer cells than the smoothing reaches, what is reflected comes back twice."""
    rng = np.random.default_rng(5)
    pdf = np.where(rng.random((3, 2, *size)) < 0.05, rng.random((3, 2, *size)), 0.0)
    pdf[..., [0, 0, -1, -1], [0, -1, 0, -1]] = 0.3  # the corners
    pdf[1, 1] = 0.0  # no particle
    # few particles, near one edge and near none
    pdf[2] = 0.0
    pdf[2, 0, [1, 2, 2], [-2, -3, -1]] = 0.4, 0.5, 0.1
    pdf[2, 1, size[0] // 2, [size[1] // 2, size[1] // 3]] = 0.75, 0.25
    total = pdf.sum(axis=(-2, -1), keepdims=True)
    pdf = np.divide(pdf, total, out=np.zeros_like(pdf), where=total > 0).astype(np.float32)
    first, bins, share = in_bins(pdf)
    out = np.full(pdf.shape, np.nan, np.float32)
    put_amplitudes(out, first, bins, share, 0.8, 0.2)
    smoothed = smooth_pdf(pdf.astype(np.float64))
    expected = 0.8 * np.sqrt(smoothed) + 0.2 * np.sqrt(pdf)
    np.testing.assert_allclose(out[:2], expected[:2], atol=5e-6)
    np.testing.assert_allclose(out[2], expected[2], atol=3e-5)  # beyond the reach: roots of 6e-10
    put_amplitudes(out, first, bins, share, 1.0, 0.0)
    np.testing.assert_allclose(out**2, smoothed, atol=2e-8)
    np.testing.assert_allclose((out.astype(np.float64) ** 2).sum(axis=(-2, -1)), total[..., 0, 0] > 0, atol=1e-6)


def in_bins(pdf):
    """first, bins, share of PDFs (n, level, y, x)."""
    of_pdf = [(np.flatnonzero(one), one.ravel()[one.ravel() > 0]) for one in pdf.reshape(-1, *pdf.shape[2:])]
    edges = np.concatenate([[0], np.cumsum([numbers.size for numbers, _ in of_pdf])])
    first = np.stack([edges[k * pdf.shape[1] : (k + 1) * pdf.shape[1] + 1] for k in range(len(pdf))])
    return first, np.concatenate([one[0] for one in of_pdf]).astype(np.uint16), np.concatenate([one[1] for one in of_pdf])


# -- networks ------------------------------------------------------------------------------------------------------------
def test_the_paper_network_is_the_paper_s():
    """Channels, kernels and blocks of method.md section 3; weights counted by hand."""
    network = PaperUNet(10, 8)
    block = [type(one).__name__ for one in network.down1]
    assert block == ["Conv2d", "ReLU", "BatchNorm2d", "Conv2d", "BatchNorm2d"]
    convolutions = [one for one in network.modules() if isinstance(one, torch.nn.Conv2d) and one.kernel_size == (5, 5)]
    assert all(one.bias is None and one.padding == (2, 2) for one in convolutions)
    shapes = [(18, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 128), (128, 128), (128, 64), (64, 64)]
    assert [(one.in_channels, one.out_channels) for one in convolutions] == shapes
    by_hand = sum(25 * a * b + 2 * b for a, b in shapes)  # kernels and batch normalisation
    by_hand += 4 * 256 * 128 + 128 + 4 * 128 * 64 + 64 + 64 * 8 + 8  # transposed convolutions and the last 1 x 1
    assert sum(one.numel() for one in network.parameters()) == by_hand


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("size", [(100, 100), (48, 76), (37, 50)])
def test_every_network_gives_pdfs_for_any_size(kind, size):
    torch.manual_seed(0)
    network = CatchmentNetwork(SMALL[kind], SPEC, 1, 3, size).eval()
    pdf = network.predict(torch.randn(2, 10, *size))
    assert pdf.shape == (2, 1, 3, *size) and (pdf >= 0).all()
    np.testing.assert_allclose(pdf.detach().sum(dim=(-2, -1)), 1, rtol=1e-5)


def test_the_paper_s_head_is_relu_over_sum():
    torch.manual_seed(0)
    network = CatchmentNetwork(SMALL["paper"], SPEC, 1, 3).eval()
    inputs = torch.randn(1, 10, 100, 100)
    with torch.no_grad():
        maps = torch.relu(network.body(inputs)) + 1e-10
        np.testing.assert_allclose(
            network.predict(inputs)[:, 0], maps / maps.sum(dim=(-2, -1), keepdim=True), rtol=2e-4, atol=1e-9
        )


def test_the_particle_source_marks_the_trap():
    source = particle_source(8, 100, 100)
    assert source.shape == (8, 100, 100) and (source[:, 49:51, 49:51] == 0.25).all() and float(source.sum()) == 8
    assert particle_source(1, 25, 25)[0, 12, 12] == 1


def test_an_untrained_residual_network_predicts_the_climatology():
    network = CatchmentNetwork(SMALL["residual"], SPEC, 2, 3).eval()
    climatology = random_pdfs(2, 3)
    network.start_from(climatology)
    pdf = network.predict(torch.randn(1, 10, 100, 100)).detach()
    np.testing.assert_allclose(pdf[0], climatology, atol=2e-7, rtol=0.01)


def test_one_speed_taken_out_of_a_joint_network_predicts_the_same():
    torch.manual_seed(3)
    network = CatchmentNetwork(SMALL["residual"], SPEC, 3, 2).eval()
    torch.nn.init.normal_(network.body.out.weight)
    torch.nn.init.normal_(network.body.climatology)
    inputs = torch.randn(2, 10, 100, 100)
    for number in range(3):
        np.testing.assert_allclose(
            network.for_speed(number).eval().predict(inputs)[:, 0].detach(),
            network.predict(inputs)[:, number].detach(),
            rtol=1e-5,
        )


def test_seasons_and_datums_do_not_move_the_residual_network_s_prediction():
    torch.manual_seed(0)
    network = CatchmentNetwork(SMALL["residual"], SPEC, 1, 2).eval()
    torch.nn.init.normal_(network.body.out.weight)
    inputs = torch.randn(1, 10, 100, 100)
    shifted = inputs + torch.randn(1, 10, 1, 1)
    np.testing.assert_allclose(network(inputs).detach(), network(shifted).detach(), atol=2e-4)


def test_the_mirror_image_turns_a_geostrophic_ocean_into_one():
    """psi -> -psi(-y): u = -dpsi/dy keeps its sign, v = dpsi/dx and vorticity change theirs."""
    spec = InputSpec.of("5v-1l", lags_days=(0,))
    y, x = torch.meshgrid(torch.arange(100.0), torch.arange(100.0), indexing="ij")
    psi = torch.sin(x / 7) * torch.cos(y / 11 + 0.3) + 0.2 * torch.sin(y / 5)

    def fields(psi):
        dy, dx = torch.gradient(psi)
        laplacian = torch.gradient(dy)[0] + torch.gradient(dx)[1]
        return torch.stack([psi, psi, -dy, dx, laplacian])[None]

    np.testing.assert_allclose(mirrored(fields(psi), spec), fields(-psi.flip(0)), atol=1e-6)
    np.testing.assert_array_equal(mirrored(mirrored(fields(psi), spec), spec), fields(psi))


# -- schedule --------------------------------------------------------------------------------------------------------------
def test_orders_depend_on_seed_member_and_epoch_alone():
    order = EpochOrder(50, (3, 1), mirror=False)
    first = list(order)
    assert sorted(first) == list(range(50)) and list(order) == first
    order.epoch = 1
    assert list(order) != first
    assert list(EpochOrder(50, (3, 2), mirror=False)) != first
    turned = np.array(list(EpochOrder(50, (3, 1), mirror=True)))
    assert sorted(turned % 50) == list(range(50)) and 5 < (turned >= 50).sum() < 45


def test_numbers_beyond_the_samples_are_their_mirror_images():
    maps, amplitudes = torch.randn(7, SPEC.n_channels, 6, 6), torch.rand(7, 1, 2, 6, 6)

    class Run:
        fields = SimpleNamespace(spec=SPEC)

        def inputs(self, experiments, normalisation):
            return maps[experiments].clone()

        def amplitudes(self, experiments, smoothed, raw):
            assert (smoothed, raw) == (SMOOTHED_WEIGHT, RAW_WEIGHT)
            return amplitudes[experiments].clone()

    chosen = [5, 3, 6]
    inputs, targets = Batches(Samples(Run(), np.array(chosen), None)).__getitems__([2, 3, 5, 0])
    assert torch.equal(inputs[[0, 3]], maps[[6, 5]]) and torch.equal(targets[[0, 3]], amplitudes[[6, 5]])
    assert torch.equal(inputs[[1, 2]], mirrored(maps[[5, 6]], SPEC))
    assert torch.equal(targets[[1, 2]], amplitudes[[5, 6]].flip(-2))


def test_the_weights_that_are_kept_are_those_of_the_best_epoch_and_training_goes_on_from_its_own():
    network = torch.nn.Linear(1, 1, bias=False)
    training = AveragedTraining(network, 0.9, 2)
    for epoch, scores in enumerate(([0.5, 0.9], [0.4, 0.8], [0.6, 0.7])):
        torch.nn.init.constant_(network.weight, epoch)
        training.average = {"weight": torch.full((1, 1), 10.0 + epoch)}
        training.on_validation_epoch_start()
        training.keep_best(scores)
        assert network.weight.item() == epoch
    assert [best["weight"].item() for best in training.best] == [11.0, 12.0] and training.best_scores == [0.4, 0.7]


def test_the_running_mean_forgets_where_it_began_and_then_follows_slowly():
    training = AveragedTraining(torch.nn.Linear(1, 1, bias=False), 0.99)
    torch.nn.init.constant_(training.network.weight, 1.0)
    training.average = {"weight": torch.zeros(1, 1)}
    training.on_train_batch_end(None, None, 0)
    assert training.average["weight"].item() == pytest.approx(9 / 11)  # of a decay of 2 / 11
    training.step, training.average = 10_000, {"weight": torch.zeros(1, 1)}
    training.on_train_batch_end(None, None, 0)
    assert training.average["weight"].item() == pytest.approx(0.01, rel=1e-4)


def test_members_of_a_bootstrap_learn_from_experiments_drawn_with_replacement():
    train = np.arange(100, 300)

    def task(preset, member):
        return SimpleNamespace(train=train, preset=PRESETS[preset], seed=0, member=member)

    first, second = (experiments_of(task("paper", member)) for member in (1, 2))
    assert first.size == 200 and set(first) < set(train) and sorted(first) != sorted(second)
    assert np.unique(first).size == pytest.approx(200 * (1 - np.exp(-1)), rel=0.1)
    assert np.array_equal(experiments_of(task("quick", 2)), train)


def test_the_rate_of_a_cycle_rises_and_falls_and_the_paper_s_is_constant():
    rates = [learning_rate(PRESETS["quick"], step, 100) for step in range(101)]
    assert max(rates) == pytest.approx(PRESETS["quick"].lr) and np.argmax(rates) == 20
    assert rates[0] < 0.1 * max(rates) and rates[100] == pytest.approx(0, abs=1e-12)
    assert {learning_rate(PRESETS["paper"], step, 100) for step in range(100)} == {1e-3}
    assert PRESETS["paper"].betas == (0.5, 0.999) and PRESETS["paper"].epochs == 50 and PRESETS["paper"].members == 10


@pytest.mark.parametrize("kind", ["residual", "paper"])
def test_members_that_share_their_inputs_predict_as_each_alone_and_a_level_alone_gives_the_same_bits(kind):
    """A library may sum otherwise for another number of samples, and on some processors does: there, rounding alone differs."""
    torch.manual_seed(0)
    spec = InputSpec.of("sst-ssh")
    networks = [CatchmentNetwork(SMALL[kind], spec, 1, 3).eval() for _ in range(4)]
    for network in networks if kind == "residual" else ():  # whose last weights are 0 before training
        torch.nn.init.normal_(network.body.out.weight)
    channels = np.ones(len(spec.variables), np.float32)
    ensemble = Ensemble(networks, Normalisation(0 * channels, channels), {})
    inputs = torch.randn(5, spec.n_channels, 100, 100)
    with torch.no_grad():
        alone = torch.stack([network.predict(inputs)[:, 0] for network in networks])
    middle = alone.sort(dim=0).values[1:3].sum(dim=0) * 0.5
    pdf, spread = ensemble.predict(inputs)
    np.testing.assert_allclose(pdf, (middle / middle.sum(dim=(-2, -1), keepdim=True)).numpy(), rtol=5e-6)
    assert len({one.numpy().tobytes() for one in alone}) == 4 and (spread > 0).all()
    for level in range(3):
        one, its_spread = ensemble.predict(inputs, level)
        assert one.shape == (5, 1, 100, 100)
        assert np.array_equal(one[:, 0], pdf[:, level]) and np.array_equal(its_spread[:, 0], spread[:, level])
