"""The whole story in one command: `stage` sets up the played world, `story` tells and proves it."""
