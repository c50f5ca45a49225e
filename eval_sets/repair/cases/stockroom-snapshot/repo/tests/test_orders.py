import unittest
from datetime import date

from orders import Order, fulfil, fulfil_all
from reorder import Rule, proposal
from stock import NotEnough

from tests.test_stock import TODAY, make_stock


class OrderTest(unittest.TestCase):
    def test_whole_order(self):
        picks = fulfil(make_stock(), Order("O1", {"milk": 3, "flour": 5}), TODAY)
        self.assertEqual([pick.quantity for pick in picks], [3, 5])

    def test_nothing_is_taken_when_one_article_is_short(self):
        stock = make_stock()
        with self.assertRaises(NotEnough):
            fulfil(stock, Order("O1", {"milk": 3, "flour": 50}), TODAY)
        self.assertEqual(stock.quantity("milk", TODAY), 16)

    def test_later_orders_are_still_served(self):
        stock = make_stock()
        orders = [Order("O1", {"flour": 31}), Order("O2", {"flour": 30})]
        done, waiting = fulfil_all(stock, orders, TODAY)
        self.assertEqual((list(done), waiting), (["O2"], ["O1"]))


class ReorderTest(unittest.TestCase):
    def test_packs_are_rounded_up(self):
        self.assertEqual(Rule("milk", 20, 40, pack=12).packs_for(16), 2)

    def test_nothing_above_the_minimum(self):
        self.assertEqual(Rule("milk", 15, 40).packs_for(16), 0)

    def test_most_urgent_first(self):
        rules = [Rule("flour", 40, 80), Rule("milk", 100, 200), Rule("sugar", 5, 10)]
        self.assertEqual(
            proposal(make_stock(), rules, TODAY),
            [("sugar", 10, 1.0), ("milk", 184, 0.84), ("flour", 50, 0.25)])

    def test_target_below_minimum(self):
        with self.assertRaises(ValueError):
            Rule("milk", 10, 10)


if __name__ == "__main__":
    unittest.main()
