"""A reader's own pictures: train on two folders, translate, judge, export. One file a command."""
