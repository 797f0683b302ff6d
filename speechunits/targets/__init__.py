"""Where the truth is read: ``forward(passes, batch) -> Seq``; ``vocab`` where it is codes already."""
