"""How a database got to where ``storage.sql.schema`` is. One file per step, in ``versions``; none is edited later."""
