"""The state of an account, rebuilt from its events."""

from .events import Deposited, Frozen, Opened, Released, Withdrawn


class Refused(Exception):
    pass


class Account:
    """`balance` and all amounts are in cents."""

    def __init__(self, number):
        self.number = number
        self.owner = None
        self.balance = 0
        self.frozen = False
        self.version = 0
        self.fees = 0

    def apply(self, event):
        if isinstance(event, Opened):
            self.owner = event.owner
        elif isinstance(event, Deposited):
            self.balance += event.cents
        elif isinstance(event, Withdrawn):
            self.balance -= event.cents + event.fee
            self.fees += event.fee
        elif isinstance(event, Frozen):
            self.frozen = True
        elif isinstance(event, Released):
            self.frozen = False
        self.version = event.version

    @classmethod
    def rebuild(cls, number, events):
        account = cls(number)
        for event in events:
            account.apply(event)
        return account


class Bank:
    """Checks what people ask for, and records what then happens."""

    def __init__(self, store, clock):
        self._store = store
        self._clock = clock

    def account(self, number):
        return Account.rebuild(number, self._store.of(number))

    def open(self, number, owner):
        if self._store.version(number):
            raise Refused(f"{number} is taken")
        self._store.append(Opened(number, self._clock(), owner=owner))
        return self.account(number)

    def deposit(self, number, cents):
        account = self._existing(number)
        if cents <= 0:
            raise Refused("deposit more than nothing")
        self._store.append(Deposited(number, self._clock(), cents=cents), account.version)
        return self.account(number)

    def withdraw(self, number, cents, fee=0):
        account = self._existing(number)
        if account.frozen:
            raise Refused(f"{number} is frozen")
        if cents + fee > account.balance:
            raise Refused(f"{number} has only {account.balance}")
        self._store.append(Withdrawn(number, self._clock(), cents=cents, fee=fee), account.version)
        return self.account(number)

    def freeze(self, number, reason):
        account = self._existing(number)
        if not account.frozen:
            self._store.append(Frozen(number, self._clock(), reason=reason), account.version)

    def release(self, number):
        account = self._existing(number)
        if account.frozen:
            self._store.append(Released(number, self._clock()), account.version)

    def transfer(self, source, target, cents):
        """Moves money. Nothing happens when either side refuses."""
        self._existing(target)
        if source == target:
            raise Refused("source and target are the same")
        self.withdraw(source, cents)
        return self.deposit(target, cents)

    def _existing(self, number):
        account = self.account(number)
        if account.owner is None:
            raise Refused(f"there is no account {number}")
        return account
