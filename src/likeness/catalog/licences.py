"""Licences: which ones a LoRA may have, by the licence of the base that it was trained on. This is no legal advice.

Sources: the licences' own texts; for Pony Diffusion V6 and NoobAI-XL the terms on their pages, which their makers added
to the Fair AI Public License.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from likeness.errors import PublishError

__all__ = ["LICENCES", "Licence", "check_licence", "licence_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """A licence, and what it asks of models that are made from what is under it.

    Attributes:
        id: as a recipe names it; the Hugging Face hub's own word where that has one.
        title: for people.
        link: where its text stands.
        on_hub: whether the hub knows it by `id`; else it is "other" there, with name and link.
        passes_on: the licences that a model made from it may have; None for any.
        asks: what else it asks of who gives such a model on, in words.
    """

    id: str
    title: str
    link: str
    on_hub: bool = True
    passes_on: tuple[str, ...] | None = None
    asks: str = ""


RAIL = ("creativeml-openrail-m", "openrail++")
KEEPS_USES = "The use restrictions of its attachment A go on to everybody who gets the LoRA."
KEEPS_OPEN = "The LoRA stays under this licence, openly, and whoever offers it over a network says so."

_ALL = (
    Licence(
        id="creativeml-openrail-m",
        title="CreativeML Open RAIL-M",
        link="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
        passes_on=RAIL,
        asks=KEEPS_USES,
    ),
    Licence(
        id="openrail++",
        title="CreativeML Open RAIL++-M",
        link="https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
        passes_on=RAIL,
        asks=KEEPS_USES,
    ),
    Licence(
        id="faipl-1.0-sd",
        title="Fair AI Public License 1.0-SD",
        link="https://freedevproject.org/faipl-1.0-sd/",
        on_hub=False,
        passes_on=("faipl-1.0-sd",),
        asks=KEEPS_OPEN,
    ),
    Licence(
        id="faipl-1.0-sd-pony",
        title="Fair AI Public License 1.0-SD, as Pony Diffusion V6 XL changed it",
        link="https://civitai.com/models/257749",
        on_hub=False,
        passes_on=("faipl-1.0-sd-pony",),
        asks=KEEPS_OPEN + " It is not run where anybody pays for it.",
    ),
    Licence(
        id="faipl-1.0-sd-noobai",
        title="Fair AI Public License 1.0-SD, with NoobAI-XL's terms",
        link="https://huggingface.co/Laxhar/noobai-XL-1.0#model-license",
        on_hub=False,
        passes_on=("faipl-1.0-sd-noobai",),
        asks=KEEPS_OPEN + " Neither it nor its pictures are sold, and how it was made is told.",
    ),
    Licence(
        id="stabilityai-ai-community",
        title="Stability AI Community License",
        link="https://stability.ai/community-license-agreement",
        on_hub=False,
        passes_on=("stabilityai-ai-community",),
        asks="It is registered with Stability AI where it is used for money, and carries their notice.",
    ),
    Licence(
        id="cc-by-nc-4.0",
        title="CC BY-NC 4.0",
        link="https://creativecommons.org/licenses/by-nc/4.0/",
        passes_on=("cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
        asks="It is not used for money.",
    ),
    Licence(
        id="cc-by-nc-sa-4.0",
        title="CC BY-NC-SA 4.0",
        link="https://creativecommons.org/licenses/by-nc-sa/4.0/",
        passes_on=("cc-by-nc-sa-4.0",),
        asks="It is not used for money, and what is made from it stays under this licence.",
    ),
    Licence(
        id="cc-by-sa-4.0",
        title="CC BY-SA 4.0",
        link="https://creativecommons.org/licenses/by-sa/4.0/",
        passes_on=("cc-by-sa-4.0",),
        asks="What is made from it stays under this licence.",
    ),
    Licence(id="cc-by-4.0", title="CC BY 4.0", link="https://creativecommons.org/licenses/by/4.0/"),
    Licence(id="cc0-1.0", title="CC0 1.0", link="https://creativecommons.org/publicdomain/zero/1.0/"),
    Licence(id="apache-2.0", title="Apache License 2.0", link="https://www.apache.org/licenses/LICENSE-2.0"),
    Licence(id="mit", title="MIT License", link="https://opensource.org/license/mit"),
)

LICENCES: Mapping[str, Licence] = {one.id: one for one in _ALL}
"""All licences that are known, by id."""


def licence_of(id: str, link: str = "", *, field: str) -> Licence:
    """The licence of this id; "other" is one of a person's own, with the link that goes with it.

    Raises:
        PublishError: for one that is not known, or "other" without a link.
    """
    if id == "other" and link:
        return Licence(id="other", title="a licence of its own", link=link, on_hub=False, passes_on=("other",))
    if id == "other":
        raise PublishError(f"{field} = 'other': say where its text stands, in publish.licence_link.")
    if id not in LICENCES:
        raise PublishError(
            f"{field} = {id!r} is not known. Use one of {', '.join(LICENCES)}; or 'other' with publish.licence_link."
        )
    return LICENCES[id]


def check_licence(licence: Licence, base: Licence) -> None:
    """Nothing, where a model made from a base may be given on under this licence.

    Raises:
        PublishError: otherwise, with those that it may be given on under.
    """
    if base.passes_on is not None and licence.id not in base.passes_on:
        raise PublishError(
            f"publish.licence = {licence.id!r} does not carry on what the base's licence asks for ({base.title}). Use "
            f"{' or '.join(map(repr, base.passes_on))}; or train on a base whose licence lets you choose."
        )
