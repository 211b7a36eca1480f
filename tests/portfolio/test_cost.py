"""What a whole cycle over a hundred pairs costs: as a ratio, so that any machine may judge it."""

from statistics import median
from time import process_time

from tests.cost import calculation_s
from tests.portfolio.cycle import hundred, whole_cycle

# A cycle takes about 3,600 calculations. A crowded machine slows the two unequally, so the limit
# is twice that: what it is here to catch, work that grows with the square of the pairs, is past it.
CALCULATIONS_MAX = 7_500
ROUNDS = 25


def test_universe_features_and_plan_of_a_hundred_pairs_cost_no_more_than_7_500_calculations() -> (
    None
):
    rules, memories = hundred()
    assert len(whole_cycle(rules, memories).orders) == 100
    ratios = []
    for _ in range(ROUNDS):
        calculation = calculation_s()
        before = process_time()
        whole_cycle(rules, memories)
        ratios.append((process_time() - before) / calculation)
    assert median(ratios) < CALCULATIONS_MAX
