"""Names of runs and reports hold the last part of a path, and no more than that."""

import pytest

from headstart.system.files.short_paths import short_override, short_paths, with_short_paths


@pytest.mark.parametrize(
    ("override", "short"),
    [
        ("target.root=/a/b/photos", "target.root=photos"),
        ("target.root=~/data/photos/", "target.root=photos"),
        ("target.root=../photos", "target.root=photos"),
        ("target.root=b/photos", "target.root=photos"),
        ("target.root='/a/my photos'", "target.root=my photos"),
        ("weights.path=https://host.example/x/net.pth", "weights.path=net.pth"),
        ("target.root=${oc.env:DATA}/photos", "target.root=photos"),
        ("target.roots=[/a/x,/b/y]", "target.roots=[x,y]"),
        ("target.root=..", "target.root=.."),
        ("weights.name=hf-hub:timm/vit", "weights.name=hf-hub:timm/vit"),
        ("optimizer.lr=1e-3", "optimizer.lr=1e-3"),
        ("~callbacks.figures", "~callbacks.figures"),
    ],
)
def test_a_path_in_an_override_is_its_last_part(override, short):
    assert short_override(override) == short


def test_paths_of_the_same_last_part_are_told_apart_by_what_stands_before():
    assert short_paths(["/a/photos"]) == {"/a/photos": "photos"}
    assert short_paths(["/a/photos", "/b/photos", "/b/other"]) == {
        "/a/photos": "a/photos",
        "/b/photos": "b/photos",
        "/b/other": "other",
    }
    assert short_paths(["/x/a/p", "/y/a/p"]) == {"/x/a/p": "x/a/p", "/y/a/p": "y/a/p"}


def test_whole_paths_alone_are_replaced():
    names = {"/a/photos": "photos", "/a/photos/b": "b"}
    assert with_short_paths("root=/a/photos or /a/photos/b", names) == "root=photos or b"
    assert with_short_paths("/a/photos2 /x/a/photos /a/photos/c", names) == "/a/photos2 /x/a/photos /a/photos/c"
