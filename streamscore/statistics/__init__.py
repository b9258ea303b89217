"""What columns look like, and how far one distribution is from another.

profiles  statistics of columns, and what they tell
drift     how far one distribution is from another
"""
