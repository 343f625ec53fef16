"""Lists of names in messages are short, and say how much they leave out."""

from headstart.system.printing.name_listing import first_few


def test_a_list_names_as_many_as_it_may_and_counts_the_others():
    assert first_few([]) == ""
    assert first_few(["a", "b"], 2) == "a, b"
    assert first_few(list("abcdefg")) == "a, b, c, d, e and 2 more"
