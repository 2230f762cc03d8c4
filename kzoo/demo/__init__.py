"""A page on this machine on which one draws or drops a picture and sees what a network makes of it."""
