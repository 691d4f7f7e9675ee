"""The card of an exported model: README.md with the few lines of code that compute its answers with transformers alone."""

from __future__ import annotations

import json
from dataclasses import dataclass

_POOLED = {
    "mean": "(states[n] * mask).sum(1) / mask.sum(1)",
    "last": "states[n][torch.arange(len(texts)), inputs['attention_mask'].sum(1) - 1]",
}
_IN_WORDS = {"mean": "the mean over a text's tokens", "last": "the state of a text's last token"}

_CARD = """\
---
{front_matter}
---

# {name}

{base_in_words} with one LoRA adapter folded into its weights, and a linear head of {label_count} labels in `head.safetensors`.
The head reads the states after these many blocks: {blocks_in_words}. Of each, it takes {pooling_in_words}, made of
unit length; side by side. Texts are cut to {max_tokens:,} tokens.

## Use

Needs `torch`, `transformers` and `safetensors`. Run it in this directory, or give `here` its path.

```python
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

here = "."
tokenizer = AutoTokenizer.from_pretrained(here)
model = AutoModel.from_pretrained(here{without_pooler}).eval()
head = load_file(f"{{here}}/head.safetensors")


def probabilities(texts, pairs=None):
    \"\"\"(texts, labels); label i is model.config.id2label[i].\"\"\"
    inputs = tokenizer(texts, pairs, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs, output_hidden_states=True)
    states = [*output.hidden_states[:-1], output.last_hidden_state]  # states[n]: after n blocks
    mask = inputs["attention_mask"][..., None].to(model.dtype)
    pooled = [{pooled} for n in {blocks}]
    features = torch.cat([torch.nn.functional.normalize(one, dim=1) for one in pooled], dim=1)
    return torch.softmax(features @ head["weight"].T + head["bias"], dim=1)


for row in probabilities(["a text", "another one"]):
    best = int(row.argmax())
    print(model.config.id2label[best], float(row[best]))
```
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card says of the model it lies beside."""

    name: str
    base: str | None  # on the Hugging Face hub; None for one from a directory
    labels: int  # how many
    feature_blocks: tuple[int, ...]
    pooling: str
    max_tokens: int
    has_pooler: bool  # the model's class would add a pooler, which has no weights here


def card(facts: CardFacts) -> str:
    """The text of README.md."""
    front_matter = [] if facts.base is None else [f"base_model: {json.dumps(facts.base)}"]
    front_matter += ["library_name: transformers", "tags:", "- lora", "- merged", "- adapter-portfolio"]
    blocks = [str(number) for number in facts.feature_blocks]
    return _CARD.format(
        front_matter="\n".join(front_matter),
        name=facts.name,
        base_in_words="A base from a local directory" if facts.base is None else f"`{facts.base}`",
        label_count=facts.labels,
        blocks_in_words=", ".join(blocks),
        pooling_in_words=_IN_WORDS[facts.pooling],
        max_tokens=facts.max_tokens,
        without_pooler=", add_pooling_layer=False" if facts.has_pooler else "",
        pooled=_POOLED[facts.pooling],
        blocks=f"({', '.join(blocks)},)" if len(blocks) == 1 else f"({', '.join(blocks)})",
    )
