"""Prompts as CLIP's text encoders read them: windows of 77 tokens, and what the encoder answers to each.

Shapes: B prompts, K windows of each, N = B * K windows, L tokens, E width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["Wording", "final_layer", "laid_end_to_end"]

LONGEST_WORD_LIST = 20  # tokens that are looked back over for a comma to break a long prompt at; as A1111 does


@dataclass(frozen=True, slots=True)
class Wording:
    """How a text encoder is asked: its tokenizer, and the token that windows are filled up with."""

    tokenizer: Any
    padding: int

    def windows_of(self, prompt: str) -> list[list[int]]:
        """Token ids of a prompt in windows of 75 at most, broken behind a comma where there is one near the end."""
        told = self.tokenizer(prompt, add_special_tokens=False, verbose=False)
        ids = cast("list[int]", told["input_ids"])
        room, comma = self.tokenizer.model_max_length - 2, self.tokenizer.convert_tokens_to_ids(",</w>")
        windows = []
        while len(ids) > room:
            commas = (at for at in range(room, room - LONGEST_WORD_LIST, -1) if ids[at - 1] == comma)
            cut = next(commas, room)
            windows.append(ids[:cut])
            ids = ids[cut:]
        return [*windows, ids]

    def ids_of(self, prompts: Sequence[str], windows: int | None, device: torch.device) -> Tensor:
        """Token ids, int64, (N, 77): for each prompt as many windows, each with start, end and padding of its own.

        Args:
            prompts: one per row.
            windows: of each row, by default what the longest prompt needs; the shorter get empty ones behind.
            device: where they are to be.
        """
        rows = [self.windows_of(prompt) for prompt in prompts]
        count = max(map(len, rows)) if windows is None else windows
        assert max(map(len, rows)) <= count, "a prompt does not fit; ask count_chunks"
        ids = [self._window(some) for row in rows for some in row + [[]] * (count - len(row))]
        return torch.tensor(ids, device=device)

    def _window(self, ids: list[int]) -> list[int]:
        """A window as the text encoder reads it: start, tokens, end, padding."""
        tokens = self.tokenizer
        padding = [self.padding] * (tokens.model_max_length - 2 - len(ids))
        return [tokens.bos_token_id, *ids, tokens.eos_token_id, *padding]


def final_layer(encoder: Any, ids_NL: Tensor, skip: int) -> Tensor:
    """What an encoder answers in its last layer but `skip` - 1, after its final normalisation, (N, L, E).

    Source: "clip skip" as A1111 has it, and diffusers with one less.
    """
    if skip == 1:
        return encoder(ids_NL).last_hidden_state
    hidden_NLE = encoder(ids_NL, output_hidden_states=True).hidden_states[-skip]
    inner: nn.Module = getattr(encoder, "text_model", encoder)  # transformers 5.6 laid the encoder bare
    return inner.get_submodule("final_layer_norm")(hidden_NLE)


def laid_end_to_end(hidden_NLE: Tensor, prompts: int) -> Tensor:
    """The windows of each prompt one behind the other, (B, K * L, E), as A1111 and ComfyUI do."""
    return hidden_NLE.reshape(prompts, -1, hidden_NLE.shape[-1])
