"""Names of parts of a model, and what they mean."""

import pytest
from torch import nn

from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.types import UserError
from headstart.unfreeze.part_names import ModelParts


class Foreign(nn.Module):
    """A model as others write it: nothing says what its stages are."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(12)])
        self.token = nn.Parameter(nn.init.zeros_(nn.Linear(4, 1).weight))
        self.head = nn.Linear(4, 2)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.head = small_cnn(width=4, size=16, channels=1, keep=None), nn.Linear(32, 2)

    @property
    def stages(self):
        return {**self.backbone.stages, "head": self.head}


STAGES = {
    "embed": r"embed\..*|token",
    "early": r"encoder\.layers\.[0-5]\..*",
    "late": r"encoder\.layers\.([6-9]|1.)\..*",
    "head": "head",
}


def test_a_module_that_says_its_stages_needs_no_names():
    parts = ModelParts(Own())
    assert parts.names == ("stage1", "stage2", "stage3", "stage4", "head")
    assert parts.of("stage1") == (
        "backbone.stages.stage1.0.weight", "backbone.stages.stage1.1.weight", "backbone.stages.stage1.1.bias",
    )  # fmt: skip
    assert parts.part_of("head.bias") == "head"


def test_regular_expressions_gather_stages():
    parts = ModelParts(Foreign(), STAGES)
    assert {part: len(parts.of(part)) for part in parts.names} == {"embed": 2, "early": 12, "late": 12, "head": 2}


def test_a_list_of_attribute_paths_and_single_parameters_names_stages():
    parts = ModelParts(Foreign(), ["token", "embed", "encoder.layers", "head"])
    assert parts.names == ("token", "embed", "encoder.layers", "head")
    assert parts.of("token") == ("token",)


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ("all", 14),
        ("stage2", 3),
        ("stage2.1", 2),  # a layer, from the part on
        ("backbone.stages.stage2.1", 2),  # or from the module on
        (r".*\.1\..*", 8),  # the norms
        (r"stage[34]\.0\.weight", 2),
        ("head.bias", 1),
    ],
)
def test_a_selector_is_a_part_a_layer_or_a_regular_expression(selector, count):
    assert len(ModelParts(Own()).selected([selector])) == count


def test_a_part_is_not_taken_for_the_beginning_of_anothers_name():
    class Ten(nn.Module):
        def __init__(self):
            super().__init__()
            self.stage1, self.stage10 = nn.Linear(1, 1), nn.Linear(1, 1)

    assert ModelParts(Ten(), ["stage1", "stage10"]).of("stage1") == ("stage1.weight", "stage1.bias")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelParts(Foreign()), "not say which stages.*its children with parameters are embed, encoder, head"),
        (lambda: ModelParts(Foreign(), ["embed", "encodr", "head"]), "encodr means no parameter.*did you mean encoder"),
        (lambda: ModelParts(Foreign(), ["embed", "encoder", "head"]), "needs a stage, these have none: token"),
        (lambda: ModelParts(Foreign(), [".*", "head"]), r"stages \.\* and head both mean head.weight"),
        (lambda: ModelParts(Foreign(), ["(", "head"]), "neither an attribute nor a regular expression"),
        (lambda: ModelParts(Own()).selected(["stage9"]), "'stage9', which is no part.*are stage1, .*did you mean st"),
        (lambda: ModelParts(Own()).selected(["stage4.9"]), "did you mean stage4"),
        (lambda: ModelParts(Own()).selected(["("]), "matches no parameter"),
    ],
)  # fmt: skip
def test_what_the_model_lacks_is_an_error_that_lists_what_there_is(make, message):
    with pytest.raises(UserError, match=message):
        make()
