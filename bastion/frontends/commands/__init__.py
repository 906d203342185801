"""One command tree for every door: `ssh bastion VERB`, the admin prompt, and the `bastion` program.

words   what was typed -> words            verbs   click classes: each command declares its action
desk    the services the tree uses         door    one person at the tree: what they see and answer
gate    parse, decide, run, audit, exit    tree    the nouns and verbs together
menu_loop, admin   the two programs that stay: the menu, and the admin prompt

Translates, never decides: policy and services decide.
"""
