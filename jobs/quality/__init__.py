"""Rules become verdicts, metrics and gates: Great Expectations gives the vocabulary and judges, Spark computes each
predicate once.
"""
