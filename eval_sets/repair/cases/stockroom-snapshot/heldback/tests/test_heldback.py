import unittest
from datetime import date

from orders import Order, fulfil, fulfil_all
from reorder import Rule, proposal
from stock import Lot, NotEnough, Stock

TODAY = date(2024, 5, 2)


class HeldBackTest(unittest.TestCase):
    def test_picks_follow_expiry_whatever_the_order_of_arrival(self):
        days = [9, 3, 27, 15, 4]
        stock = Stock()
        for day in days:
            stock.receive(Lot("L%d" % day, "milk", 30 - day, date(2024, 5, day)))
        picks = stock.pick("milk", 92, TODAY)
        self.assertEqual([pick.lot for pick in picks], ["L3", "L4", "L9", "L15", "L27"])

    def test_smaller_lot_first_among_equals(self):
        stock = Stock()
        stock.receive(Lot("big", "milk", 9, date(2024, 5, 9)))
        stock.receive(Lot("small", "milk", 1, date(2024, 5, 9)))
        self.assertEqual([pick.lot for pick in stock.pick("milk", 2, TODAY)], ["small", "big"])

    def test_caller_keeps_its_own_lot(self):
        lot = Lot("L1", "milk", 5, date(2024, 6, 1))
        stock = Stock()
        stock.receive(lot)
        stock.pick("milk", 3, TODAY)
        self.assertEqual(lot.quantity, 5)

    def test_snapshot_survives_several_restores(self):
        stock = Stock()
        stock.receive(Lot("L1", "milk", 5, date(2024, 6, 1)))
        before = stock.snapshot()
        for _ in range(3):
            stock.pick("milk", 5, TODAY)
            stock.restore(before)
        self.assertEqual(stock.quantity("milk"), 5)
        self.assertEqual(before[0].quantity, 5)

    def test_snapshot_survives_a_second_delivery(self):
        stock = Stock()
        stock.receive(Lot("L1", "milk", 5, date(2024, 6, 1)))
        before = stock.snapshot()
        stock.receive(Lot("L1", "milk", 2, date(2024, 6, 1)))
        self.assertEqual([lot.quantity for lot in before], [5])

    def test_failed_orders_take_nothing(self):
        stock = Stock()
        stock.receive(Lot("L1", "milk", 5, date(2024, 6, 1)))
        with self.assertRaises(NotEnough):
            fulfil(stock, Order("O", {"milk": 5, "tea": 1}), TODAY)
        done, waiting = fulfil_all(stock, [Order("P", {"milk": 4, "tea": 1}), Order("Q", {"milk": 5})], TODAY)
        self.assertEqual((sorted(done), waiting), (["Q"], ["P"]))

    def test_expired_oldest_first(self):
        stock = Stock()
        for number, day in (("a", 20), ("b", 3), ("c", 11)):
            stock.receive(Lot(number, "milk", 1, date(2024, 4, day)))
        self.assertEqual([lot.number for lot in stock.expired(TODAY)], ["b", "c", "a"])

    def test_equal_urgency_by_name(self):
        rules = [Rule("b", 4, 8), Rule("a", 4, 8)]
        self.assertEqual([line[0] for line in proposal(Stock(), rules, TODAY)], ["a", "b"])


if __name__ == "__main__":
    unittest.main()
