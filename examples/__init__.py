"""Small applications as anyone would write them. None of them knows that it is audited."""
