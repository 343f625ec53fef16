"""A sum of terms is their sum: in value, gradient, networks, metrics and in what they ask of a run."""

import pytest
import torch

from composed import composed
from headstart.adaptation.adda import ADDA
from headstart.adaptation.cdan import CDAN
from headstart.adaptation.dann import DANN
from headstart.adaptation.mcc import MCC
from headstart.adaptation.shot import SHOT
from headstart.adaptation.sum_of_terms import SumOfTerms
from headstart.runs.model_parts.assembly import assembled
from headstart.types import UserError
from loss_cases import C, D, a_head


def dann(ramp="sigmoid"):
    torch.manual_seed(2)
    one = DANN(weight=0.5, ramp=ramp, hidden=8)
    one.prepare(width=D, num_classes=C, source_classes=C)
    return one


def mcc():
    return MCC(weight=2.0, ramp="constant", temperature=2.5)


def test_value_and_gradients_are_the_sums_of_those_of_each_at_its_own_strength(sides):
    source, target = (side._replace(logits=side.logits.requires_grad_()) for side in sides)
    torch.manual_seed(2)
    both = SumOfTerms(terms={"first": DANN(weight=0.5, ramp="sigmoid", hidden=8), "second": mcc()})
    both.prepare(width=D, num_classes=C, source_classes=C)
    alone = (dann(), mcc())
    leaves = [source.features, target.features, target.logits]
    for progress in (0.0, 0.3, 1.0):
        strength = both.strength(progress)
        assert strength == 1
        found = both(source=source, target=target, head=a_head(), strength=strength)
        want = sum(one(source=source, target=target, head=a_head(), strength=one.strength(progress)) for one in alone)
        torch.testing.assert_close(found, want)
        for ours, theirs in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(want, leaves), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_the_metrics_of_each_are_there_under_its_name(sides):
    both = SumOfTerms(terms={"first": dann(), "second": mcc(), "third": None})
    source, target = sides
    both(source=source, target=target, head=a_head(), strength=both.strength(0.5))
    assert set(both.metrics) == set(both.measures) == {"first_domain_accuracy", "second_class_confusion"}
    assert {name.partition(".")[0] for name in both.state_dict()} == {"terms"}


def test_what_looks_at_the_target_alone_goes_with_images_without_labels_too():
    shot = SHOT(weight=1, ramp="constant", beta=0.3)
    for terms in ({"a": shot, "b": mcc()}, {"b": mcc(), "a": shot}):
        both = SumOfTerms(terms=terms)
        assert both.main == "unlabelled"
        assert both.looks
        assert not both.reads_paired
    assert SumOfTerms(terms={"a": mcc(), "b": dann()}).main == "source"


def test_a_ramp_among_the_terms_is_the_sums_so_that_an_endless_run_is_refused():
    assert SumOfTerms(terms={"a": mcc(), "b": dann()}).ramp == "sigmoid"
    assert SumOfTerms(terms={"a": mcc(), "b": dann("constant")}).ramp == "constant"


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ({"a": None}, "needs a term at least"),
        (
            {"a": DANN(weight=1, ramp="constant", hidden=4), "b": SHOT(weight=1, ramp="constant", beta=0)},
            "one data set",
        ),
        ({"a": SumOfTerms(terms={"b": mcc()}), "c": mcc()}, "must be another adaptation, got a sum as a"),
        ({"a": ADDA(weight=1, ramp="constant", hidden=4), "b": mcc()}, "take it alone"),
    ],
)
def test_terms_that_do_not_go_together_are_one_message(terms, told):
    with pytest.raises(UserError, match=told):
        SumOfTerms(terms=terms)


def test_the_command_line_chooses_the_terms_and_their_settings():
    run = ["mode=scratch", "source.characters=digits", "target.shots=null", "adaptation=sum"]
    chosen = assembled(composed(*run)).module.adaptation
    assert [type(term) for term in chosen.terms.values()] == [CDAN, MCC]
    more = [*run, "adaptation@adaptation.terms.first=dann", "adaptation.terms.second.weight=0.25"]
    chosen = assembled(composed(*more)).module.adaptation
    assert [type(term) for term in chosen.terms.values()] == [DANN, MCC]
    assert chosen.terms["second"].weight == 0.25
