"""What steps: many environments at once, in D4RL's physics or in today's.

Locomotion, AntMaze, point mazes, pen, kitchen, and the paper's 2-D bandit, all behind
one interface. Imports the schema of the configuration and nothing above it.

Public: `batch.make_environments`, `physics`, `bandit`.
"""
