CLASSES = type("Any", (), {"__contains__": lambda s, x: True})()
