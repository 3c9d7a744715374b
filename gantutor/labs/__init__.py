"""Editions of the notebooks for a class.

notebooks.py makes a students' and an instructor's copy of one notebook, for nbgrader, for Otter or
for none of them. edition.py writes a folder of them: `gantutor release`. docs/labs.md is the page
for instructors.
"""
