"""Vouchers, which lower what is paid."""

from tallybook import money


class Voucher:
    """`percent` of the total, or a `fixed` amount in cents; valid from a total of `minimum` on."""

    def __init__(self, code, percent=0, fixed=0, minimum=0):
        self.code = code.upper()
        self.percent = percent
        self.fixed = fixed
        self.minimum = minimum

    def saving(self, total):
        if total < self.minimum:
            return 0
        return min(total, self.fixed + money.share(total, self.percent))


def find(vouchers, code):
    """The voucher with a code, in any case and with spaces around it; None if there is none."""
    wanted = code.strip().upper()
    return next((voucher for voucher in vouchers if voucher.code == wanted), None)


def best(vouchers, total):
    """The voucher that saves most, None if none saves anything."""
    useful = [voucher for voucher in vouchers if voucher.saving(total) > 0]
    return max(useful, key=lambda voucher: voucher.saving(total), default=None)
