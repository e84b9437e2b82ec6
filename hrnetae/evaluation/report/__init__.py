"""Reports: one HTML file that needs nothing beside it. page.py and charts.py are what any report is made of."""
