"""What keeps a checkout in order: doctor, garbage, locks, adoption, kept results.

Looks at the machine and at files; changes only what it names first. Imports everything
below; nothing but the command line imports it.

Public: `doctor`, `garbage`, `adoption`, `keep`, `summary`.
"""
