"""The bank in a box: a seeded generator of files with an answer key, and a real bank replayed.

Used by the demo and by tests only.
"""

from jobs.demo_bank.answer_key import AnswerKey, answer_key
from jobs.demo_bank.bank import DemoBank, Sent
from jobs.demo_bank.berka import Berka

__all__ = ["AnswerKey", "Berka", "DemoBank", "Sent", "answer_key"]
