"""Refusals. The message is shown to the patron at the desk."""


class Refused(Exception):
    pass


class TooMuchOwed(Refused):
    pass


class TooManyLoans(Refused):
    pass


class NotAvailable(Refused):
    pass


class NotRenewable(Refused):
    pass
