"""The argument about records: what they acknowledge, and what is answered to them."""

from __future__ import annotations

from model_check.invariants.words import ENDING, ended, per_both, per_service
from model_check.lang import every, implies
from model_check.properties import Property

IN_RECORDS = (
    # generations
    Property(
        "Acknowledged",
        "A freeze acknowledges no request that was not made; nothing else acknowledges any.",
        per_both(
            lambda c, d, n, s: (
                implies(c.at[s] == n, ~(c.gen[n] < c.ack[s]))
                & implies(~(c.state[s] == "freeze"), c.ack[s] == 0)
                & ~(c.gen[n] < 0)
            )
        ),
    ),
    Property(
        "ReadGeneration",
        "What a master has read of a generation is no newer than it.",
        lambda c, d: every(
            d.manager,
            lambda m: every(
                d.service,
                lambda s: every(
                    d.node,
                    lambda n: implies(
                        (c.about_service[m] == s) & c.token[m] & c.basis[m] & (c.at[s] == n),
                        ~(c.gen[n] < c.read_gen[m]),
                    ),
                ),
            ),
        ),
    ),
    # ---------------------------------------------------------------------------------------------------- answers
    Property(
        "OutcomeTrue",
        "A stop or hand-over that succeeded left nothing running.",
        per_both(lambda c, d, n, s: implies((c.outcome[n, s] == "success") & c.state[s].isin(*ENDING), ended(c, d, s))),
    ),
    Property(
        "AnswerTrue",
        "The same, once it is published.",
        per_service(lambda c, d, s: implies((c.answer[s] == "success") & c.state[s].isin(*ENDING), ended(c, d, s))),
    ),
    Property(
        "HandedOn",
        "Nobody starts by hand what an LRM has handled.",
        per_both(
            lambda c, d, n, s: implies(
                (c.answer[s] != "none")
                | (c.outcome[n, s] != "none")
                | (c.worker[n, s] != "none")
                | c.halted[n, s]
                | ~(c.state[s] == "new"),
                ~c.by_hand[s],
            )
        ),
    ),
)
