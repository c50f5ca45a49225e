from pixelmap.grid import Grid
from pixelmap.regions import around, fill, region, regions
from pixelmap.ways import distance, visible


def check_grid():
    grid = Grid("abc\n\nd")
    assert grid.size == (3, 3) and grid[1, 2] == " " and grid.find("z") == [] and len(grid.find(" ")) == 5
    for place in ((-1, 0), (3, 0), (0, 3), (0, -1)):
        assert not grid.inside(place)
        try:
            grid[place]
        except IndexError:
            continue
        raise AssertionError(place)
    assert str(Grid("abc\ndef").turned()) == "da\neb\nfc" and Grid("abc\ndef").turned().size == (3, 2)
    assert str(Grid("a  \n\n  b")) == "a\n\n  b" and str(Grid("")) == "" and Grid("").size == (1, 0)


def check_regions():
    grid = Grid("aab\nbab\nbba")
    assert around(grid, (0, 0)) == [(0, 1), (1, 0)] and len(around(grid, (1, 1))) == 4
    assert regions(grid, "a") == [3, 1] and regions(grid, "b") == [3, 2] and regions(grid, "c") == []
    assert len(region(grid, (2, 0))) == 3 and len(region(grid, (0, 2))) == 2
    assert fill(grid, (0, 0), "b") == 3 and str(grid) == "bbb\nbbb\nbba" and fill(grid, (2, 2), "a") == 0
    assert fill(grid, (1, 1), "a") == 8 and regions(grid, "a") == [9]
    big = Grid("\n".join("." * 60 for _ in range(60)))
    assert regions(big, ".") == [3600]


def check_ways():
    grid = Grid("..#.\n.##.\n....\n#~..")
    assert distance(grid, (0, 0), (0, 3)) == 7 and distance(grid, (0, 3), (0, 0)) == 7
    assert distance(grid, (0, 0), (3, 1)) == 4 and distance(grid, (0, 0), (3, 1), "#~") is None
    assert distance(grid, (0, 1), (0, 1)) == 0 and distance(Grid("S#E"), (0, 0), (0, 2)) is None
    assert distance(Grid("S.E"), (0, 0), (0, 2)) == 2
    assert visible(grid, (2, 0), (0, 1)) == [(2, 1), (2, 2), (2, 3)] and visible(grid, (0, 0), (1, 0)) == [(1, 0), (2, 0)]
    assert visible(grid, (3, 3), (0, -1), "~") == [(3, 2)] and visible(grid, (0, 0), (-1, 0)) == []
    assert visible(grid, (3, 3), (-1, 0)) == [(2, 3), (1, 3), (0, 3)] and visible(grid, (3, 0), (-1, 1)) == [(2, 1)]


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
