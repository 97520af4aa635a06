"""Training: imitation of the shortest path, and PPO. Only the command line and scripts import it."""
