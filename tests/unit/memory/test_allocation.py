"""Memory of graphs: what is shared, what is kept, and what gaps cost."""

import pytest

from gguf2ollama.memory.allocation import Graph

KIB = 1024


def test_a_tensor_takes_the_memory_of_one_whose_last_use_is_over():
    graph = Graph()
    first = graph.op(KIB, graph.input(KIB))
    second = graph.op(KIB, first)
    graph.op(KIB, second)
    assert graph.allocate() == {-1: 2 * KIB}  # of four, with the input


def test_an_operation_in_place_takes_nothing():
    graph = Graph()
    x = graph.op(KIB)
    for _ in range(5):
        x = graph.over(x)
    assert graph.allocate() == {-1: KIB}


def test_what_is_used_again_is_not_overwritten():
    graph = Graph()
    x = graph.op(KIB)
    graph.use(graph.over(x), x)
    assert graph.allocate() == {-1: 2 * KIB}


def test_a_view_is_not_overwritten():
    graph = Graph()
    graph.over(graph.view(graph.op(KIB)))
    assert graph.allocate() == {-1: 2 * KIB}


def test_a_tensor_lives_as_long_as_its_views():
    graph = Graph()
    x = graph.op(KIB)
    view = graph.view(x)
    other = graph.op(KIB)
    graph.use(view, other)
    graph.op(2 * KIB)
    assert graph.allocate() == {-1: 2 * KIB}


def test_an_output_is_kept():
    graph = Graph()
    x = graph.op(KIB)
    x.is_output = True
    graph.use(x)
    graph.op(KIB)
    assert graph.allocate() == {-1: 2 * KIB}


def test_a_gap_that_is_too_small_costs_its_size():
    graph = Graph()
    small, kept = graph.op(KIB), graph.op(KIB)
    graph.use(small)
    large = graph.op(2 * KIB)
    graph.use(kept, large)
    assert graph.allocate() == {-1: 4 * KIB}


def test_of_the_gaps_that_are_large_enough_the_smallest_is_taken():
    graph = Graph()
    large, kept, small, end = graph.op(4 * KIB), graph.op(KIB), graph.op(2 * KIB), graph.op(KIB)
    graph.use(large, small)
    graph.use(graph.op(2 * KIB), graph.op(4 * KIB), kept, end)
    assert graph.allocate() == {-1: 8 * KIB}


def test_an_input_that_nothing_uses_is_kept():
    graph = Graph()
    graph.input(KIB)
    graph.op(KIB)
    assert graph.allocate() == {-1: 2 * KIB}


def test_a_device_gets_a_copy_of_what_it_uses_of_another():
    graph = Graph()
    x = graph.op(KIB, graph.input(3 * KIB))
    graph.device = 0
    graph.op(2 * KIB, x)
    assert graph.allocate() == {-1: 4 * KIB, 0: 3 * KIB}


def test_a_copy_is_made_once_for_each_device():
    graph = Graph()
    x = graph.op(KIB)
    graph.device = 0
    first = graph.op(KIB, x)
    second = graph.op(KIB, x)
    graph.use(first, second)
    assert graph.allocate()[0] == 3 * KIB


@pytest.mark.parametrize("size", [1, 127, 128])
def test_sizes_are_rounded_up(size):
    graph = Graph()
    graph.op(size)
    assert graph.allocate() == {-1: 128}
