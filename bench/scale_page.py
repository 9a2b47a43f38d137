def page(figures, memory, options, machine):
    import json
    return json.dumps([figures, memory], indent=1)
