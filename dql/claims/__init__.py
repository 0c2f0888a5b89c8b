"""The ledger: every claim of the paper, judged in print, by settings, and on runs.

`workflow/claims.yaml` states claims and the rules that decide them; rules of a kind
share a file. Reads tables' cells and results; trains nothing.

Public: `ledger.judge`, `page.write_claims`, `bandit.write_claims`.
"""
