"""The configuration in `workflow/config`: read, checked, and resolved into runs.

Values live in the YAML files, their shape in `schema`, the order in which they win in
`project`. Imports the agents' settings and nothing above; never torch.

Public: `project.load_project`, `project.Project`, `schema.RunConfig`.
"""
