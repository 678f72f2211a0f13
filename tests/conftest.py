"""Models in ONNX text and the zoo's model, for every test that needs one."""

import contextlib
import re
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import settings

from nfkit.data import load as load_data
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.model import load
from nfkit.models import zoo as model_zoo

if find_spec("torch") is None:
    # The runtime half works without torch, and so do its tests: those that train or differentiate are left out whole.
    _TRAINING = re.compile(
        r"^\s*(import torch|from torch|from nfkit\.(learn|models\.generators)|from nfkit\.remedies)", re.M
    )
    collect_ignore = [str(path) for path in Path(__file__).parent.rglob("*.py") if _TRAINING.search(path.read_text())]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores Ctrl-C for what it runs in the background, and the programs that tests interrupt would inherit it.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.default_int_handler)

ZOO_IMAGES = Path(__file__).parents[1] / "models" / "zoo" / "resnet8_fashion_mnist_int8.npz"  # no wheel holds it

settings.register_profile("nfkit", deadline=None, derandomize=True, max_examples=50, database=None)
settings.load_profile("nfkit")

CONVNET = """
<ir_version: 10, opset_import: ["" : OPSET], producer_name: "someone", metadata_props: ["owner" : "someone"]>
convnet (float[N, 2, 4, 4] image) => (float[N, 3] scores)
<float s_image = {0.0078125}, int8 z = {0}, float[3] s_conv = {0.01, 0.02, 0.03}, int8[3] z_conv = {0, 0, 0},
 float[3] s_bias = {0.0001, 0.0002, 0.0003}, float s_dense = {0.05}, uint8 z_dense = {128},
 int32[3] b = {100, -200, 300}>
{
    image_q = QuantizeLinear (image, s_image, z)
    image_f = DequantizeLinear (image_q, s_image, z)
    w_f = DequantizeLinear <axis = 0> (w, s_conv, z_conv)
    b_f = DequantizeLinear <axis = 0> (b, s_bias)
    c = Conv <pads = [1, 1, 1, 1]> (image_f, w_f, b_f)
    r = Relu (c)
    p = GlobalAveragePool (r)
    f = Flatten (p)
    d_f = DequantizeLinear (d, s_dense, z_dense)
    scores = MatMul (f, d_f)
}
"""

# A block with a way around it, whose sum has codes of its own: what reaches the sum is two values.
BLOCK = """
<ir_version: 8, opset_import: ["" : 18]>
block (float[SIZE, 2, 4, 4] image) => (float[SIZE, 3] scores)
<float s = {0.03125}, int8 z = {0}, float s_w = {0.015625}>
{
    q0 = QuantizeLinear (image, s, z)
    f0 = DequantizeLinear (q0, s, z)
    w1 = DequantizeLinear (first, s_w, z)
    c1 = Conv <pads = [1, 1, 1, 1]> (f0, w1)
    r1 = Relu (c1)
    q1 = QuantizeLinear (r1, s, z)
    f1 = DequantizeLinear (q1, s, z)
    w2 = DequantizeLinear (second, s_w, z)
    c2 = Conv <pads = [1, 1, 1, 1]> (f1, w2)
    q2 = QuantizeLinear (c2, s, z)
    f2 = DequantizeLinear (q2, s, z)
    sum = Add (f1, f2)
    q3 = QuantizeLinear (sum, s, z)
    f3 = DequantizeLinear (q3, s, z)
    p = GlobalAveragePool (f3)
    f = Flatten (p)
    w3 = DequantizeLinear (third, s_w, z)
    scores = MatMul (f, w3)
}
"""


@pytest.fixture(scope="session")
def parse():
    """parse(text, name=array, ...): a model from ONNX text, and initializers that the text only names."""

    def build(text, **arrays):
        proto = onnx.parser.parse_model(text)
        tensors = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer} | arrays
        # As exporters store them: raw bytes, which the parser does not write.
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in tensors.items())
        onnx.checker.check_model(proto)
        return ir.from_proto(proto)

    return build


@pytest.fixture(scope="session")
def blocks(parse):
    """blocks(batch="N"): three weight sites, and a way around the second."""

    def build(batch="N"):
        random = np.random.default_rng(0)
        shapes = {"first": (4, 2, 3, 3), "second": (4, 4, 3, 3), "third": (4, 3)}
        drawn = {name: random.integers(-90, 91, shape, np.int8) for name, shape in shapes.items()}
        return parse(BLOCK.replace("SIZE", batch), **drawn)

    return build


@pytest.fixture(scope="session")
def convnet(parse):
    """convnet(opset=18): a QDQ network with per-axis int8, per-tensor uint8 and int32 memories."""

    def build(opset=18):
        generator = np.random.default_rng(1)
        return parse(
            CONVNET.replace("OPSET", str(opset)),
            w=generator.integers(-128, 128, (3, 2, 3, 3), np.int8),
            d=generator.integers(0, 256, (3, 3), np.uint8),
        )

    return build


@pytest.fixture(scope="session")
def execute():
    """execute(model, feeds): the outputs, computed node by node by ONNX Runtime."""

    def run(model, feeds, optimised=None):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        if optimised:
            options.optimized_model_filepath = str(optimised)
        content = ir.to_proto(model).SerializeToString()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return session.run(None, feeds)

    return run


@pytest.fixture(scope="session")
def serialised():
    """serialised(model): bytes that differ where anything in the model does."""
    return lambda model: ir.to_proto(model).SerializeToString(deterministic=True)


@pytest.fixture(scope="session")
def zoo():
    """The zoo's model, which is not to be changed: its file, weight sites and input, and its images."""
    path = model_zoo.path("resnet8-fashion-mnist")
    images = str(ZOO_IMAGES)
    model = load(path)
    return SimpleNamespace(
        path=path,
        images=images,
        model=model,
        sites=fault_sites(model),
        spec=find_input(model),
        train=load_data(images, "train"),
        test=load_data(images, "test"),
    )


@pytest.fixture(scope="session")
def read_by():
    """read_by(model, chip, errors): the codes that a chip returns for the model's weights."""

    def read(model, chip, errors):
        sites = fault_sites(model)
        return {s.name: np.ascontiguousarray(chip.faults(s, errors).apply(codes(model, s))) for s in sites}

    return read


# F(x) = clip(x + G(x), -1, 1) with one int8 convolution as G: enough to have weights of its own.
RESIDUAL = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, SHAPE] image) => (float[N, SHAPE] protected)
<float s = {0.00390625}, float low = {-1}, float high = {1}>
{
    k_f = DequantizeLinear (k, s)
    residual = Conv <pads = [1, 1, 1, 1]> (image, k_f)
    total = Add (image, residual)
    protected = Clip (total, low, high)
}
"""


@pytest.fixture(scope="session")
def residual_generator(parse):
    """residual_generator(*image_shape): a generator of a single convolution."""

    def build(channels, height, width):
        kernel = np.random.default_rng(0).integers(-30, 31, (channels, channels, 3, 3), np.int8)
        return parse(RESIDUAL.replace("SHAPE", f"{channels}, {height}, {width}"), k=kernel)

    return build


@pytest.fixture(scope="session")
def one_thread():
    """Models this small train faster on one core, and tests side by side do not wait for each other's threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


FLOAT_NET = """
<ir_version: 4, opset_import: ["" : OPSET, "ai.onnx.ml" : 1], producer_name: "someone", producer_version: "7">
floatnet (float[BATCH, INPUT] image) => (float[BATCH, 4] scores)
{
    LEAD
    c = Conv <pads = [1, 1, 1, 1]> (planes, w)
    n = BatchNormalization <epsilon = 0.001> (c, gamma, beta, mean, var)
    r = Relu (n)
    p = GlobalAveragePool (r)
    f = Flatten (p)
    scores = Gemm <transB = 1> (f, d, e)
}
"""


@pytest.fixture(scope="session")
def floatnet(parse):
    """floatnet(opset=18, batch="N", last=False): a float network with batch normalisation, images in [-1, 1]."""

    def build(opset=18, batch="N", last=False):
        random = np.random.default_rng(8)
        lead = "planes = Transpose <perm = [0, 3, 1, 2]> (image)" if last else "planes = Identity (image)"
        replaced = {"OPSET": opset, "BATCH": batch, "INPUT": "6, 6, 3" if last else "3, 6, 6", "LEAD": lead}
        text = FLOAT_NET
        for word, value in replaced.items():
            text = text.replace(word, str(value))
        arrays = {
            "w": random.normal(0, 0.4, (8, 3, 3, 3)),
            "gamma": random.uniform(0.5, 2, 8),
            "beta": random.normal(0, 0.3, 8),
            "mean": random.normal(0, 0.3, 8),
            "var": random.uniform(0.5, 2, 8),
            "d": random.normal(0, 1, (4, 8)),
            "e": random.normal(0, 0.1, 4),
        }
        return parse(text, **{name: array.astype(np.float32) for name, array in arrays.items()})

    return build


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium, one for all tests of a process: playwright runs once in each."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("there is no chromium on this machine: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def web_runtime(tmp_path_factory):
    """A folder with onnxruntime-web, where it has been fetched."""
    from nfkit.data.download import cache_folder
    from nfkit.pages.web_runtime import PUBLISHED, SCRIPT, WASM, find_web_runtime

    archive = cache_folder() / "onnxruntime-web" / PUBLISHED.url.rpartition("/")[2]
    if not archive.exists():
        pytest.skip(f"{archive.name} is not in the cache: nfkit page fetches it once")
    found = find_web_runtime()  # of another digest it is not the one that is meant
    folder = tmp_path_factory.mktemp("runtime")
    (folder / SCRIPT).write_bytes(found.script)
    (folder / WASM).write_bytes(found.wasm)
    return folder


QUADRANTS = """
<ir_version: 10, opset_import: ["" : 18]>
quadrants (float[N, 1, 16, 16] image) => (float[N, 4] scores)
<float s_image = {0.0078125}, int8 z_image = {0}, float s_w = {0.002}>
{
    q = QuantizeLinear (image, s_image, z_image)
    f = DequantizeLinear (q, s_image, z_image)
    w_f = DequantizeLinear (w, s_w)
    c = Conv <strides = [8, 8]> (f, w_f)
    scores = Flatten (c)
}
"""


@pytest.fixture(scope="session")
def quadrants(parse):
    """A model that tells which quadrant is brightest: the mean of each, by one convolution of equal codes."""
    return parse(QUADRANTS, w=np.full((1, 1, 8, 8), 64, np.int8))
