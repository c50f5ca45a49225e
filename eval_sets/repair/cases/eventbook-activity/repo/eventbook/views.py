"""Read-only views over many events."""

from collections import Counter

from .account import Account
from .events import Deposited, Withdrawn


def statement(store, number):
    """(moment, change, balance) of everything that moved money."""
    lines = []
    balance = 0
    for event in store.of(number):
        if isinstance(event, Deposited):
            change = event.cents
        elif isinstance(event, Withdrawn):
            change = -(event.cents + event.fee)
        else:
            continue
        balance += change
        lines.append((event.at, change, balance))
    return lines


def balance_at(store, number, moment):
    """The balance at a moment, events of that moment included."""
    balance = 0
    for at, _, after in statement(store, number):
        if at > moment:
            break
        balance = after
    return balance


def overview(store):
    """Owner and balance of every account, the richest first."""
    accounts = [Account.rebuild(number, store.of(number)) for number in store.accounts()]
    return [(account.owner, account.balance) for account in sorted(accounts, key=lambda one: (-one.balance, one.number))]


def activity(store):
    """How many events of each kind there were in each month, like `("2024-03", "deposited")`."""
    counts = Counter()
    for number in store.accounts():
        for event in store.of(number):
            counts[f"{event.at:%Y-%m}", event.account] += 1
    return counts
