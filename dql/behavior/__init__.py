"""The policies behind data made here: searched, sorted by quality, kept small.

Imports `dql.environments` and the schema; knows no dataset.

Public: `policies.train`, `kept`, `linear.LinearPolicies`.
"""
