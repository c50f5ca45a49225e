"""The desk: all tickets, and who works on which."""

from .ticket import Status, Ticket


class Unknown(LookupError):
    """There is no such ticket or agent."""


class Desk:
    def __init__(self, hours, agents=(), answer_within=240):
        self.hours = hours
        self.answer_within = answer_within
        self.tickets = {}
        self._agents = {}
        self._turn = 0
        for name in agents:
            self.add_agent(name)

    def add_agent(self, name):
        self._agents.setdefault(name, 0)

    def open(self, subject, customer, at, tags=()):
        """A new ticket, which nobody has yet."""
        number = len(self.tickets) + 1
        ticket = Ticket(number, subject, customer, at, tags=set(tags))
        self.tickets[number] = ticket
        return ticket

    def get(self, number):
        if number not in self.tickets:
            raise Unknown(f"no ticket {number}")
        return self.tickets[number]

    def load(self, agent):
        """How many active tickets an agent has."""
        return sum(ticket.active and ticket.agent == agent for ticket in self.tickets.values())

    def assign(self, number):
        """Gives a ticket to the agent with the fewest active ones; among equals, to who got one longest ago.

        Returns the agent. Raises Unknown where there is no agent.
        """
        ticket = self.get(number)
        if not self._agents:
            raise Unknown("nobody works here")
        ticket.agent = None
        agent = min(self._agents, key=lambda name: (self.load(name), self._agents[name]))
        self._turn += 1
        self._agents[agent] = self._turn
        ticket.agent = agent
        return agent

    def overdue(self, now):
        """Active tickets without an agent's reply in time, the oldest first."""
        late = [
            ticket
            for ticket in self.tickets.values()
            if ticket.active
            and not any(author != ticket.customer for author, _, _ in ticket.replies)
            and self.hours.due(ticket.opened, self.answer_within) < now
        ]
        return sorted(late, key=lambda ticket: ticket.opened)

    def find(self, query):
        """The tickets that match a parsed query, by number."""
        return [ticket for ticket in self.tickets.values() if query.matches(ticket)]

    def close_solved(self, now, after):
        """Closes what was solved at least `after` ago. Returns the numbers."""
        done = []
        for ticket in self.tickets.values():
            if ticket.status is Status.SOLVED and now - ticket.solved_at >= after:
                ticket.move(Status.CLOSED, now)
                done.append(ticket.number)
        return done
