import unittest
from datetime import date

from stock import Lot, NotEnough, Pick, Stock, StockError

TODAY = date(2024, 5, 2)


def make_stock():
    stock = Stock()
    stock.receive(Lot("L1", "milk", 10, date(2024, 5, 20), "A1"))
    stock.receive(Lot("L2", "milk", 6, date(2024, 5, 8), "B4"))
    stock.receive(Lot("L3", "milk", 4, date(2024, 4, 30), "A2"))
    stock.receive(Lot("L4", "flour", 30, date(2025, 1, 1), "C1"))
    return stock


class StockTest(unittest.TestCase):
    def setUp(self):
        self.stock = make_stock()

    def test_expired_lots_do_not_count(self):
        self.assertEqual(self.stock.quantity("milk"), 20)
        self.assertEqual(self.stock.quantity("milk", TODAY), 16)

    def test_first_expired_first_out(self):
        self.assertEqual(
            self.stock.pick("milk", 8, TODAY), [Pick("L2", "B4", 6), Pick("L1", "A1", 2)])

    def test_a_small_late_delivery_waits(self):
        self.stock.receive(Lot("L5", "milk", 2, date(2024, 5, 29), "A3"))
        picks = self.stock.pick("milk", 8, TODAY)
        self.assertEqual([pick.lot for pick in picks], ["L2", "L1"])

    def test_pick_lowers_the_stock(self):
        self.stock.pick("milk", 5, TODAY)
        self.assertEqual(self.stock.quantity("milk", TODAY), 11)

    def test_not_enough(self):
        with self.assertRaises(NotEnough) as caught:
            self.stock.pick("milk", 17, TODAY)
        self.assertEqual(caught.exception.there, 16)

    def test_lot_of_another_article(self):
        with self.assertRaises(StockError):
            self.stock.receive(Lot("L1", "flour", 1, date(2025, 1, 1)))

    def test_same_lot_again(self):
        self.stock.receive(Lot("L1", "milk", 5, date(2024, 5, 20), "A1"))
        self.assertEqual(self.stock.quantity("milk", TODAY), 21)

    def test_expired_list(self):
        self.assertEqual([lot.number for lot in self.stock.expired(TODAY)], ["L3"])

    def test_snapshot_does_not_change(self):
        before = self.stock.snapshot()
        self.stock.pick("flour", 30, TODAY)
        self.assertEqual(sum(lot.quantity for lot in before), 50)

    def test_log(self):
        self.stock.pick("flour", 3, TODAY)
        self.assertEqual(self.stock.log[-1], ("out", "L4", 3))


if __name__ == "__main__":
    unittest.main()
